"""Nodes that may keep no task: down, drained, or gone. Their tasks are wanted elsewhere.

FACTS, chapter 8: drained, the new one starts when the old one has stopped; down, after the restart delay, since the old
one cannot tell.
"""

from skep.core.commands import Command, DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.orchestrator.restarts import replacements, succeeded
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.policy import restarts_of
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId, ServiceId
from skep.model.states import Availability, TaskState
from skep.model.task import Task

#: Services in one plan: each costs two events, and all of them must fit in one record.
SERVICES_MAX = 1000


def plan_nodes(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return what moves the tasks of a node that may keep none."""
    node = state.nodes.get(NodeId(key))
    index = state.node_tasks.get(NodeId(key))
    if node is None or node.fit or index is None or not index.active:
        return CONTENT
    by_service: dict[ServiceId, list[Task]] = {}
    moved = 0
    for task in state.tasks_on(node.id):
        if task.wanted and not task.state.terminal:
            if task.service_id not in by_service and len(by_service) == SERVICES_MAX:
                continue
            by_service.setdefault(task.service_id, []).append(task)
            moved += 1
            if moved == ROWS_MAX:
                break
    commands: list[Command] = []
    drained = node.spec.availability is Availability.DRAIN
    for service_id, tasks in by_service.items():
        service = state.services.get(service_id)
        if service is not None:
            delay = restarts_of(service.spec.template).delay
            lonely = [task for task in tasks if not succeeded(state, service, task)]
            if lonely:
                commands += replacements(service, lonely, now, ids, delay=delay, wait_for_old=drained)
        commands.append(DesireTasks(tuple(t.id for t in tasks), TaskState.SHUTDOWN))
    return Plan(tuple(commands), cause=node.version, more=moved < index.active)
