"""How an update ended: what is told of it when it does."""

from skep.core.state import ClusterState
from skep.model.ids import Position
from skep.model.service import Outcome, Service
from skep.model.states import UpdateState

COMPLETED = "completed"
PAUSED = "paused"
ROLLED_BACK = "rolled-back"
SUPERSEDED = "superseded"


def outcome_of(state: ClusterState, service: Service, how: str, why: str) -> Outcome | None:
    """Return the outcome of the update of `service` that ends with the record at hand; None if there is none."""
    progress, status = state.updates.get(service.id), service.update_status
    if progress is None or status is None:
        return None
    return Outcome(
        state=how,
        why=why,
        changed=progress.changed,
        spec_at=service.written,
        began_at=progress.began,
        ended_at=Position(state.position),
        started_at=status.started_at,
        completed_at=state.time,
        rollback=status.state is UpdateState.ROLLBACK_STARTED,
        made=progress.made,
        tasks=tuple(progress.tasks),
        failed=tuple(progress.failed.values()),
    )
