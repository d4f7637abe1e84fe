"""skep: Docker Swarm's control plane as an event-sourced engine that other programs embed."""
