"""Rebalancing: on request, the tasks of a service are spread anew, one at a time, to a budget. Skep's own.

A task is moved where its node has at least two more of the service than a node that could take it (where the service
spreads over labels, values of a label count like nodes). Its replacement gets the same seat and the scheduler finds the
node: first the new one starts or first the old one stops, as the service's updates say. The next one is moved when that
one runs. What fails ends the rebalancing; so does an update, which places its tasks anew anyway.
"""

from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import Command, DesireTasks, EndRebalance
from skep.core.holdings import has_ports, has_resources
from skep.core.indexes import ServiceTasks
from skep.core.needs import needs_of
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.plan.scheduler.filters import label_value, static_tests
from skep.core.policy import rollout_of
from skep.core.progress import Rebalance
from skep.core.state import ClusterState
from skep.model.ids import Instant, Position, ServiceId
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task

#: So many tasks more a node must have than another for one of them to be moved: fewer, and nothing is gained.
SURPLUS = 2


def plan_rebalancing(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return the next move of a service's rebalancing, or its end."""
    rebalance = state.rebalances.get(ServiceId(key))
    service = state.services.get(ServiceId(key))
    if rebalance is None or service is None:
        return CONTENT
    index = state.service_tasks.get(service.id)
    moving = state.tasks.get(rebalance.moving)
    moved = rebalance.moved + bool(moving and moving.wanted and moving.state is TaskState.RUNNING)
    cause = max(rebalance.began, moving.version if moving else rebalance.began)
    why = _stopped(state, service, index, rebalance)
    if not why and moving is not None and index is not None and not _took_over(index, moving):
        return CONTENT
    task = _next(state, service, index, now) if index is not None and not why else None
    if task is None:
        why = why or f"every node has its share, after {_tasks(moved)} moved"
    elif moved >= rebalance.budget:
        why = f"{_tasks(moved)} moved, and no more were to be"
    if why or task is None:
        return Plan((EndRebalance(service.id, moved, why),), cause=cause)
    return Plan(tuple(_move(service, task, ids)), cause=cause)


def _took_over(index: ServiceTasks, task: Task) -> bool:
    """Whether a task runs, and has its seat to itself."""
    return task.state is TaskState.RUNNING and len(index.wanted_by_seat[task.seat]) == 1


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _stopped(state: ClusterState, service: Service, index: ServiceTasks | None, rebalance: Rebalance) -> str:
    """Say what ends the rebalancing before its time; empty if nothing does."""
    if service.id in state.updates or (index is not None and index.stale):
        return "the service is being updated, which places its tasks anew"
    if not rebalance.moving:
        return ""
    task = state.tasks.get(rebalance.moving)
    if task is None:
        return f"task {rebalance.moving}, which took over from another, is gone"
    if task.state.terminal and task.state is not TaskState.SHUTDOWN:
        return f"task {task.id}, which took over from another, ended: {task.status.err or task.state.word}"
    if not task.wanted:
        return f"task {task.id}, which took over from another, is not wanted any more"
    old = state.tasks.get(task.origin.replaces)
    if old is not None and old.node_id == task.node_id and task.node_id:
        return f"task {task.id} was given the node of the one that it replaces"
    return ""


def _move(service: Service, task: Task, ids: Ids) -> list[Command]:
    """Return what lets another task take over from `task`."""
    start_first = rollout_of(service.spec, rollback=False).start_first
    desired = TaskState.RUNNING if start_first else TaskState.READY
    made = replace(create(service, [task.seat], ids, desired=desired, replaces=[task]), rebalance=True)
    return [made] if start_first else [made, DesireTasks((task.id,), TaskState.SHUTDOWN)]


class _Group(Struct):
    """Nodes with the same values of the labels that are spread over, so far; each at last a group of its own."""

    tasks: int
    takes: bool
    nodes: list[Node]


def _next(state: ClusterState, service: Service, index: ServiceTasks, now: Instant) -> Task | None:
    """Return the task to move next; None if that would gain nothing."""
    spread = _Spread(state, service, index, now)
    donor = spread.donor(list(state.nodes.values()), spread.needs.spread)
    return _movable(state, service, index, donor) if donor is not None else None


class _Spread:
    """How the tasks of a service are spread, and which nodes the scheduler would give one more."""

    def __init__(self, state: ClusterState, service: Service, index: ServiceTasks, now: Instant) -> None:
        self._state = state
        self._counts = index.on_node
        self.needs = needs_of(state.networks, state.templates[service.id][service.spec_version])
        self._tests = static_tests(self.needs)
        failures = state.failures.get(service.id)
        self._faulty = failures.faulty(service.spec_version, now) if failures is not None else {}

    def donor(self, nodes: list[Node], labels: tuple[str, ...]) -> Node | None:
        """Return the node to take a task from: of the first level that is uneven, the fullest of the fullest group."""
        groups = self._split(nodes, labels)
        takers = [group.tasks for group in groups if group.takes]
        if not takers:
            return None
        fullest = max(groups, key=lambda group: group.tasks)
        if fullest.tasks - min(takers) >= SURPLUS:
            return max(fullest.nodes, key=lambda node: self._counts.get(node.id, 0))
        if not labels:
            return None
        return next((node for group in groups if (node := self.donor(group.nodes, labels[1:]))), None)

    def _split(self, nodes: list[Node], labels: tuple[str, ...]) -> list[_Group]:
        """Return nodes by their value of the first label, or one by one."""
        groups: dict[str, _Group] = {}
        for node in nodes:
            count = self._counts.get(node.id, 0)
            takes = self._takes(node, count)
            if not count and not takes:
                continue
            key = label_value(node, labels[0]) if labels else node.id
            group = groups.setdefault(key, _Group(0, takes=False, nodes=[]))
            group.tasks += count
            group.takes = group.takes or takes
            group.nodes.append(node)
        return list(groups.values())

    def _takes(self, node: Node, count: int) -> bool:
        """Whether a node that has `count` tasks of the service could take one more."""
        needs = self.needs
        if not node.schedulable or node.id in self._faulty or (needs.max_replicas and count >= needs.max_replicas):
            return False
        if not all(test(node) for _, test in self._tests):
            return False
        if needs.demand is None:
            return True
        on_it = self._state.node_tasks.get(node.id)
        held = on_it.held if on_it is not None else None
        return has_resources(node.description, held, needs.demand) and has_ports(held, needs.demand)


def _movable(state: ClusterState, service: Service, index: ServiceTasks, node: Node) -> Task | None:
    """Return the youngest task of the service that runs on a node, and has its seat to itself."""
    running = [
        task
        for task in state.tasks_on(node.id)
        if task.service_id == service.id and task.wanted and _took_over(index, task)
    ]
    return max(running, key=_age) if running else None


def _age(task: Task) -> tuple[Position, int]:
    return task.origin.created, task.slot
