"""What Swarm takes and this version of skep does not run yet: refused by name, rather than ignored.

The answers are skep's own, bare, with code UNIMPLEMENTED (501).
"""

from skep.core.rejected import Rejected
from skep.model.service import ServiceSpec


def needs_later(spec: ServiceSpec) -> None:
    """Reject what this version does not run, naming field and value."""
    _check_mode(spec)
    task = spec.template
    restart = task.restart_policy
    if restart is not None and restart.window and restart.max_attempts:
        raise _later("restart windows", "RestartPolicy.Window", restart.window)
    if task.runtime not in ("", "container"):
        raise _later("tasks that are no containers", "TaskTemplate.Runtime", task.runtime)


def _check_mode(spec: ServiceSpec) -> None:
    mode = spec.mode
    if mode is None:
        return
    if mode.global_ is not None:
        raise _later("global services", "Mode", "Global")
    if mode.replicated_job is not None or mode.global_job is not None:
        raise _later("jobs", "Mode", "ReplicatedJob" if mode.global_job is None else "GlobalJob")


def _later(what: str, field: str, value: object) -> Rejected:
    return Rejected.unimplemented(
        f"{what} are not there yet: this version of skep does not run {field}={value}", bare=True
    )
