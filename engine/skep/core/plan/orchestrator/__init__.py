"""The orchestrator: makes the tasks that services want, and unmakes them."""
