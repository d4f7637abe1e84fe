"""Reaping: what no one needs any more is forgotten.

A seat keeps as many tasks as the swarm's history limit says, the current one included; a task that was to be removed
goes when it has stopped, or at once if it never had a node (FACTS, chapter 5).
"""

from itertools import islice

from skep.core.commands import ReapTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, ServiceId, TaskId


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
        history = (
            i for i in index.seats[seat] if i != current and not state.tasks[i].wanted and state.tasks[i].state.terminal
        )
        rows.update(dict.fromkeys(islice(history, surplus)))
    if not rows:
        return CONTENT
    reaped = tuple(islice(rows, ROWS_MAX))
    cause = max(state.tasks[i].version for i in reaped)
    return Plan((ReapTasks(reaped),), cause=cause, more=len(rows) > len(reaped))
