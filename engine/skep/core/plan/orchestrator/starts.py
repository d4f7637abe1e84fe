"""Delayed starts: a task that is wanted READY becomes wanted RUNNING when its delay and its predecessor are over."""

from itertools import chain, islice

from skep.core.commands import DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.state import ClusterState
from skep.model.ids import Instant, Position, ServiceId, TaskId
from skep.model.states import TaskState


def plan_starts(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no objects
    """Return which waiting tasks of a service may start, and when to look again."""
    index = state.service_tasks.get(ServiceId(key))
    if index is None or not (index.startable or index.timed):
        return CONTENT
    due = [i for i in index.timed if state.tasks[i].origin.start_at <= now]
    later = (state.tasks[i].origin.start_at for i in index.timed if state.tasks[i].origin.start_at > now)
    wake_at = earliest(*later)
    ready = tuple(islice(chain(index.startable, due), ROWS_MAX))
    if not ready:
        return Plan(wake_at=wake_at)
    # what they waited for: the end of their predecessors, or their own creation
    cause = max(_released_by(state, i) for i in ready)
    service = state.services.get(ServiceId(key))
    wanted = TaskState.COMPLETE if service is not None and service.spec.kind.is_job else TaskState.RUNNING
    return Plan(
        (DesireTasks(ready, wanted),),
        cause=cause,
        wake_at=wake_at,
        more=len(index.startable) + len(due) > len(ready),
    )


def _released_by(state: ClusterState, task_id: TaskId) -> Position:
    task = state.tasks[task_id]
    old = state.tasks.get(task.origin.replaces)
    return max(task.origin.created, old.version) if old is not None else task.origin.created
