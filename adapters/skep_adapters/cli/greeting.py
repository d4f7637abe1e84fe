"""What a person who started the daemon reads: what it found, and what to type next."""

import sys
from pathlib import Path

from skep.runtime.cluster import Cluster

from skep_adapters.cli.hosts import UNIX
from skep_adapters.cli.options import UpOptions


def greet(options: UpOptions, cluster: Cluster, engine: Path | None) -> None:
    """Print it to standard output; a reader that went away is no matter."""
    found, next_step = f"new: no swarm in {options.directory} yet", "docker swarm init"
    if cluster.active:
        found, next_step = f"recovered {cluster.recovered}", "docker node ls"
    elif cluster.locked:
        found, next_step = f"locked: the swarm in {options.directory} waits for its unlock key", "docker swarm unlock"
    try:
        if engine is not None:
            sys.stdout.write(f"tasks run in the Docker Engine at {UNIX}{engine}\n")
        sys.stdout.write(f"{found}\nexport {_words(options)}\n{next_step}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return


def _words(options: UpOptions) -> str:
    """Return what a client's environment has to say."""
    if options.sockets:
        return f"DOCKER_HOST={UNIX}{options.sockets[0]}"
    host = f"DOCKER_HOST={options.tcp_hosts[0]}"
    return f"{host} DOCKER_TLS_VERIFY=1" if options.tls is not None else host
