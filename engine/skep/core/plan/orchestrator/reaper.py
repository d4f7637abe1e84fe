"""Reaping: what no one needs any more is forgotten.

A seat keeps as many tasks as the swarm's history limit says, the current one included; a task that was to be removed
goes when it has stopped, or at once if it never had a node (FACTS, chapter 5). What completed in the present run of a
job is kept, since it counts; of older runs it is history.
"""

from itertools import islice

from skep.core.commands import ReapTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, ServiceId, TaskId
from skep.model.states import TaskState
from skep.model.task import Task


def plan_reaping(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs neither
    """Return which tasks of a service to forget."""
    index = state.service_tasks.get(ServiceId(key))
    if index is None or not (index.reapable or index.crowded):
        return CONTENT
    rows: dict[TaskId, None] = dict.fromkeys(index.reapable)
    limit = state.history_limit
    given_up = state.given_up.get(ServiceId(key), {})
    for seat in index.crowded:
        surplus = len(index.seats[seat]) - limit
        # the last task of a seat that gave up is its current one: it says why
        current = given_up.get(seat)
        history = (i for i in index.seats[seat] if i != current and _is_history(state, state.tasks[i]))
        rows.update(dict.fromkeys(islice(history, surplus)))
    if not rows:
        return CONTENT
    reaped = tuple(islice(rows, ROWS_MAX))
    cause = max(state.tasks[i].version for i in reaped)
    return Plan((ReapTasks(reaped),), cause=cause, more=len(rows) > len(reaped))


def _is_history(state: ClusterState, task: Task) -> bool:
    """Whether a task ended, and neither is followed by another nor counts for a job's present run."""
    if not task.wanted:
        return task.state.terminal
    done = task.desired is TaskState.COMPLETE and task.state is TaskState.COMPLETE
    service = state.services.get(task.service_id)
    return done and (service is None or task.origin.spec_version != service.spec_version)
