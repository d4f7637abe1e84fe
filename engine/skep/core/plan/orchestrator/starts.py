"""Delayed starts: a task that is wanted READY becomes wanted RUNNING when its delay and its predecessor are over.

A predecessor that does not stop is waited for a minute, not for ever.
"""

from itertools import chain, islice, takewhile

from skep.core.commands import DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, Instant, Position, ServiceId, TaskId
from skep.model.states import TaskState

#: How long a predecessor is waited for: SwarmKit's `defaultOldTaskTimeout`.
PREDECESSOR_MAX = 60 * NANOSECONDS


def plan_starts(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no objects
    """Return which waiting tasks of a service may start, and when to look again."""
    index = state.service_tasks.get(ServiceId(key))
    if index is None or not (index.startable or index.timed or index.blocked):
        return CONTENT
    due = [i for i in index.timed if state.tasks[i].origin.start_at <= now]
    later = (state.tasks[i].origin.start_at for i in index.timed if state.tasks[i].origin.start_at > now)
    # in the order of their creation: one with a longer delay may hold up those after it, for as long
    overdue = list(takewhile(lambda i: _waits_until(state, i) <= now, index.blocked))
    blocked = next(islice(index.blocked, len(overdue), None), None)
    wake_at = earliest(*later, _waits_until(state, blocked) if blocked is not None else 0)
    due += overdue
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


def _waits_until(state: ClusterState, task_id: TaskId) -> int:
    origin = state.tasks[task_id].origin
    return max(origin.created_at + PREDECESSOR_MAX, origin.start_at)


def _released_by(state: ClusterState, task_id: TaskId) -> Position:
    task = state.tasks[task_id]
    old = state.tasks.get(task.origin.replaces)
    return max(task.origin.created, old.version) if old is not None else task.origin.created
