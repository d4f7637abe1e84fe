"""Nodes that may keep no task: down, or drained. Their tasks are wanted elsewhere.

FACTS, chapter 8: drained, the new one starts when the old one has stopped; down, after the restart delay, since the old
one cannot tell. Skep's own: where the service is updated start-first, a task that runs on a drained node goes on until
its replacement runs (plan "handovers" stops it then), unless the node goes down meanwhile. A node that becomes active
again before that gives its task up all the same: its replacement is on its way.

A global service's task ends with its node. Of a node that is down for long, tasks are given up for good, as SwarmKit
does: so networks and services that they hold can be freed. So are containers of people that it had on networks.
"""

from skep.core.commands import Command, DesireTasks, EndAttachments, EvictTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.orchestrator.restarts import attempt_of, by_delay, replacements, succeeded
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.policy import rollout_of
from skep.core.seats import successor
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, Instant, NodeId, ServiceId, TaskId
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import NodeState, TaskState
from skep.model.task import Task

#: Services in one plan: each costs three events, and all of them must fit in one record.
SERVICES_MAX = 1000

#: How long a node may be down until its tasks are orphaned: SwarmKit's `defaultNodeDownPeriod`.
DOWN_MAX = 24 * 3600 * NANOSECONDS


def plan_nodes(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return what moves the tasks of a node that may keep none, and orphans them after a day."""
    node = state.nodes.get(NodeId(key))
    index = state.node_tasks.get(NodeId(key))
    attached = tuple(state.node_attachments.get(NodeId(key), ()))
    if node is None or (index is None and not attached) or node.fit:
        return CONTENT
    by_service: dict[ServiceId, list[Task]] = {}
    lost: list[TaskId] = []
    moved, cut = 0, False
    down = node.status.state is NodeState.DOWN
    given_up = attached if down else ()
    for task in state.tasks_on(node.id):
        if task.state.terminal:
            continue
        if down:
            lost.append(task.id)
        if not task.wanted or (not down and _is_awaited(state, task)):
            continue
        if moved == ROWS_MAX or (task.service_id not in by_service and len(by_service) == SERVICES_MAX):
            cut = True
            break
        by_service.setdefault(task.service_id, []).append(task)
        moved += 1
    commands: list[Command] = []
    for service_id, tasks in by_service.items():
        commands += _move(state, node, state.services.get(service_id), tasks, now, ids)
    due = Instant(node.down_since + DOWN_MAX) if lost or given_up else Instant(0)
    if commands or not due:
        return Plan(tuple(commands), cause=node.version, wake_at=due, more=cut)
    return _give_up(node, lost, given_up, now, due)


def _give_up(node: Node, lost: list[TaskId], attached: tuple[TaskId, ...], now: Instant, due: Instant) -> Plan:
    """Return what gives up all that was on a node, once that is due."""
    if now < due:
        return Plan(wake_at=due)
    commands: list[Command] = []
    if lost:
        commands.append(EvictTasks(tuple(lost[:ROWS_MAX]), "", orphaned=True))
    if attached:
        commands.append(EndAttachments(attached[:ROWS_MAX]))
    return Plan(tuple(commands), cause=node.version, more=max(len(lost), len(attached)) > ROWS_MAX)


def _is_awaited(state: ClusterState, task: Task) -> bool:
    """Whether a task on a drained node runs on until a newer one in its seat does."""
    service = state.services.get(task.service_id)
    if service is None or task.state is not TaskState.RUNNING or _is_last(state, service, task):
        return False
    seat = (state.tasks[i] for i in state.service_tasks[service.id].wanted_by_seat[task.seat])
    return not any(t.state is TaskState.RUNNING and t.origin.created > task.origin.created for t in seat)


def _is_last(state: ClusterState, service: Service, task: Task) -> bool:
    """Whether a task is the one of its seat that stays, so that its loss leaves a gap."""
    seat = state.service_tasks[service.id].wanted_by_seat[task.seat]
    return len(seat) == 1 or successor((state.tasks[i] for i in seat), service.spec_version) is task


def _move(
    state: ClusterState, node: Node, service: Service | None, tasks: list[Task], now: Instant, ids: Ids
) -> list[Command]:
    """Return what replaces tasks of one service where that is wanted, and stops those that nobody waits for."""
    lonely: list[Task] = []
    if service is not None and not service.spec.kind.per_node:
        # a job's run that is over is not gone on with: plan "jobs" begins the slots of the present one
        present = service.spec_version if service.spec.kind.is_job else None
        going = [t for t in tasks if present in (None, t.origin.spec_version)]
        lonely = [t for t in going if _is_last(state, service, t) and not succeeded(state, service, t)]
    kept: dict[TaskId, None] = {}
    commands: list[Command] = []
    if service is not None and lonely:
        down = node.status.state is NodeState.DOWN
        if not down and not service.spec.kind.is_job and rollout_of(service.spec, rollback=False).start_first:
            running = [task for task in lonely if task.state is TaskState.RUNNING]
            lonely = [task for task in lonely if task.state is not TaskState.RUNNING]
            kept = {task.id: None for task in running}
            if running:
                attempts = [attempt_of(service, task) for task in running]
                commands.append(create(service, [t.seat for t in running], ids, replaces=running, attempts=attempts))
        if down:
            for delay, late in by_delay(state, service, lonely).items():
                commands += replacements(service, late, now, ids, delay=delay)
        elif lonely:
            commands += replacements(service, lonely, now, ids, wait_for_old=True)
    stopping = tuple(task.id for task in tasks if task.id not in kept)
    if stopping:
        commands.append(DesireTasks(stopping, TaskState.SHUTDOWN))
    return commands
