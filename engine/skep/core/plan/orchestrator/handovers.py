"""Handovers: where a seat has several wanted tasks, all but the newest of the present template stop when that one runs.

Where none bears that template, an update comes to the seat later; until then it is the newest that stays.

There are several where an update or a drained node starts first, where a rebalancing moves a task, or where an update
turned back on one. If none of them runs, the others need not be waited for.
"""

from skep.core.commands import DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.seats import successor
from skep.core.state import ClusterState
from skep.model.ids import Instant, ServiceId, TaskId
from skep.model.states import TaskState


def plan_handovers(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs neither
    """Return which tasks of a service gave their seat to another."""
    service = state.services.get(ServiceId(key))
    index = state.service_tasks.get(ServiceId(key))
    if service is None or index is None or not index.overlapping:
        return CONTENT
    stopping: list[TaskId] = []
    cause = service.spec_version
    for seat in index.overlapping:
        if len(stopping) >= ROWS_MAX:
            break
        tasks = [state.tasks[i] for i in index.wanted_by_seat[seat]]
        stays = successor(tasks, service.spec_version)
        cause = max(cause, stays.version)
        stopping += [task.id for task in tasks if task is not stays]
    return Plan(
        (DesireTasks(tuple(stopping[:ROWS_MAX]), TaskState.SHUTDOWN),),
        cause=cause,
        more=len(stopping) >= ROWS_MAX,
    )
