"""The scheduler: gives each pending task a node, or says why it has none.

Even spread: the node with the fewest active tasks of the service, then the fewest of all, then the oldest member.
Work is one heap of the fitting nodes for each service with pending tasks.
"""

from heapq import heapify, heappop, heapreplace

from skep.core.commands import AssignTasks, Command, HoldTasks
from skep.core.constraints import Constraint, matches, parse
from skep.core.events import ROWS_MAX
from skep.core.indexes import NodeTasks
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import START, Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import Node
from skep.model.service import Placement, TaskTemplate

EMPTY = NodeTasks()
ANYWHERE = Placement()


class _Round:
    """What one plan has handed out so far, on top of the state."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.ready = [node for node in state.nodes.values() if node.schedulable]
        self.assigned: dict[TaskId, NodeId] = {}
        self.held: dict[TaskId, str] = {}
        self.extra: dict[NodeId, int] = {}
        #: the same for the service at hand, which may have tasks of several templates
        self.own: dict[NodeId, int] = {}
        self.cause = START

    @property
    def room(self) -> int:
        """How many rows the plan may still have."""
        return ROWS_MAX - len(self.assigned) - len(self.held)


def plan_placement(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs none
    """Return where pending tasks go, at most ROWS_MAX of them, and why the others wait."""
    if not state.pending:
        return CONTENT
    this = _Round(state)
    more = False
    for service_id in state.pending:
        if this.room <= 0:
            more = True
            break
        more = _place_service(this, service_id) or more
    commands: list[Command] = []
    if this.assigned:
        commands.append(AssignTasks(tuple(this.assigned), tuple(this.assigned.values())))
    if this.held:
        commands.append(HoldTasks(tuple(this.held), tuple(this.held.values())))
    return Plan(tuple(commands), cause=this.cause, more=more) if commands else CONTENT


def _place_service(this: _Round, service_id: ServiceId) -> bool:
    """Place the pending tasks of one service; return whether the budget left some."""
    state = this.state
    pending = state.service_tasks[service_id].pending
    this.own.clear()
    by_spec: dict[Position, list[TaskId]] = {}
    for task_id in pending:
        by_spec.setdefault(state.tasks[task_id].origin.spec_version, []).append(task_id)
    left = False
    for spec_version, task_ids in by_spec.items():
        template = state.templates[service_id][spec_version]
        left = _place_template(this, service_id, template, task_ids) or left
    return left


def _place_template(this: _Round, service_id: ServiceId, template: TaskTemplate, task_ids: list[TaskId]) -> bool:
    state = this.state
    placement = template.spec.placement or ANYWHERE
    constraints = [parse(text) for text in placement.constraints]
    fitting = [node for node in this.ready if _fits(node, constraints)]
    # (tasks of the service, tasks of all, order of joining, node)
    heap = [
        (own, of.active + this.extra.get(node.id, 0), order, node.id)
        for order, node in enumerate(fitting)
        for of in (state.node_tasks.get(node.id, EMPTY),)
        for own in (of.by_service.get(service_id, 0) + this.own.get(node.id, 0),)
        if not placement.max_replicas or own < placement.max_replicas
    ]
    heapify(heap)
    for row, task_id in enumerate(task_ids):
        if this.room <= 0:
            return True
        if not heap:
            return _hold(this, task_ids[row:], _reason(state, this.ready, fitting))
        own, total, order, node_id = heap[0]
        this.assigned[task_id] = node_id
        this.extra[node_id] = this.extra.get(node_id, 0) + 1
        this.own[node_id] = this.own.get(node_id, 0) + 1
        this.cause = max(this.cause, state.tasks[task_id].version)
        if placement.max_replicas and own + 1 >= placement.max_replicas:
            heappop(heap)
        else:
            heapreplace(heap, (own + 1, total + 1, order, node_id))
    return False


def _hold(this: _Round, task_ids: list[TaskId], reason: str) -> bool:
    """Note a reason where it is news; return whether the budget left some."""
    for task_id in task_ids:
        task = this.state.tasks[task_id]
        if task.status.err != reason:
            if this.room <= 0:
                return True
            this.held[task_id] = reason
            this.cause = max(this.cause, task.origin.created)
    return False


def _reason(state: ClusterState, ready: list[Node], fitting: list[Node]) -> str:
    """Say why no node is left, in Swarm's words (FACTS, chapter 3)."""
    parts = []
    unready = len(state.nodes) - len(ready)
    if unready:
        parts.append(f"{_nodes(unready)} not available for new tasks")
    unfit = len(ready) - len(fitting)
    if unfit:
        parts.append(f"scheduling constraints not satisfied on {_nodes(unfit)}")
    if fitting:
        parts.append("max replicas per node limit exceed")
    return f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _fits(node: Node, constraints: list[Constraint]) -> bool:
    return all(matches(constraint, node) for constraint in constraints)
