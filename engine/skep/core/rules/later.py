"""What Swarm takes and this version of skep does not run yet: refused by name, rather than ignored.

The answers are skep's own, bare, with code UNIMPLEMENTED (501).
"""

from skep.core.rejected import Rejected
from skep.model.service import ServiceSpec


def needs_later(spec: ServiceSpec) -> None:
    """Reject what this version does not run, naming field and value."""
    task = spec.template
    if task.runtime not in ("", "container"):
        raise _later("tasks that are no containers", "TaskTemplate.Runtime", task.runtime)


def _later(what: str, field: str, value: object) -> Rejected:
    return Rejected.unimplemented(
        f"{what} are not there yet: this version of skep does not run {field}={value}", bare=True
    )
