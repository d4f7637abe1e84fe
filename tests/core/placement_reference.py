"""The scheduler by brute force: tables only, every node for every task."""

from collections import Counter

from skep.core.constraints import matches_all
from skep.core.failures import FAULTY, RECENT
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import EnginePlugin, Node
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    Placement,
    Reservations,
    TaskTemplate,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.model.task import Task

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING
KIND = "gpu"
NOTHING = Reservations()


class Reference:
    """Where each pending task goes by the rule, from nothing but the tables."""

    def __init__(self, state: ClusterState, now: Instant) -> None:
        self.state, self.now = state, now
        self.node_of = {task.id: task.node_id for task in state.tasks.values()}
        self.state_of = {task.id: task.state for task in state.tasks.values()}
        self.given = {i: given.resources for i, given in state.given.items()}
        self.assigned: dict[TaskId, NodeId] = {}
        self.resources: dict[TaskId, tuple[GenericResource, ...]] = {}
        self.held: dict[TaskId, str] = {}

    def run(self) -> "Reference":
        waiting = [t for i in self.state.pending for t in self._pending(i)]
        fixed = [t for i in self.state.node_services if i in self.state.pending for t in self._pending(i)]
        left = [task for task in fixed if not self._settle(task, [self.state.nodes[task.node_id]])]
        by_spec: dict[tuple[ServiceId, Position], list[Task]] = {}
        for task in waiting:
            if not task.node_id:
                by_spec.setdefault((task.service_id, task.origin.spec_version), []).append(task)
        for tasks in by_spec.values():
            left += [task for task in tasks if not self._settle(task, list(self.state.nodes.values()))]
        for task in left:
            nodes = [self.state.nodes[task.node_id]] if task.node_id else list(self.state.nodes.values())
            reason = self._reason(task, nodes)
            if reason != task.status.err:
                self.held[task.id] = reason
        return self

    def _pending(self, service_id: ServiceId) -> list[Task]:
        return [self.state.tasks[i] for i in self.state.service_tasks[service_id].pending]

    def _settle(self, task: Task, nodes: list[Node]) -> bool:
        fitting = [node for node in nodes if not self._refusal(task, node)]
        if not fitting:
            return False
        best = min(fitting, key=lambda node: self._order(task, node))
        self.resources[task.id] = self.given[task.id] = self._choose(task, best) or ()
        self.node_of[task.id] = self.assigned[task.id] = best.id
        self.state_of[task.id] = TaskState.ASSIGNED
        return True

    def _template(self, task: Task) -> TaskTemplate:
        return self.state.templates[task.service_id][task.origin.spec_version]

    def _on(self, node: Node, *, holding: bool) -> list[Task]:
        on = [task for task in self.state.tasks.values() if self.node_of[task.id] == node.id]
        if holding:
            return [task for task in on if TaskState.ASSIGNED <= self.state_of[task.id] <= RUNNING]
        return [task for task in on if task.wanted and self.state_of[task.id] <= RUNNING]

    def _order(self, task: Task, node: Node) -> tuple[int, ...]:
        placement = self._template(task).spec.placement or Placement()
        labels = [p.spread.spread_descriptor for p in placement.preferences if p.spread]
        mine = [t for t in self.state.tasks.values() if t.service_id == task.service_id]
        active = [t for t in mine if self.node_of[t.id] and t.wanted and self.state_of[t.id] <= RUNNING]
        groups = Counter[tuple[str, ...]]()
        for other in active:
            where = self.state.nodes.get(self.node_of[other.id])
            if where is not None:
                path = self._path(where, labels)
                groups.update(path[:depth] for depth in range(1, len(path) + 1))
        own = self._path(node, labels)
        failures = self.state.failures.get(task.service_id)
        instants = failures.at.get(task.origin.spec_version, {}).get(node.id, ()) if failures else ()
        recent = sum(self.now - at <= RECENT for at in instants)
        return (
            *(groups[own[:depth]] for depth in range(1, len(own) + 1)),
            recent if recent >= FAULTY else 0,
            sum(self.node_of[t.id] == node.id for t in active),
            len(self._on(node, holding=False)),
            list(self.state.nodes).index(node.id),
        )

    def _path(self, node: Node, labels: list[str]) -> tuple[str, ...]:
        engine = node.description.engine.labels if node.description.engine else {}
        said = {f"node.labels.{k}": v for k, v in (node.spec.labels or {}).items()}
        said |= {f"engine.labels.{k}": v for k, v in engine.items()}
        return tuple(said.get(label, "") for label in labels)

    def _refusal(self, task: Task, node: Node) -> str:
        template = self._template(task)
        placement = template.spec.placement or Placement()
        if node.status.state is not NodeState.READY or node.spec.availability is not Availability.ACTIVE:
            return "{} not available for new tasks"
        if not self._has_resources(task, node):
            return "insufficient resources on {}"
        if template.spec.log_driver is not None and not any(
            plugin == EnginePlugin(type="Log", name=template.spec.log_driver.name)
            for plugin in (node.description.engine.plugins if node.description.engine else ())
        ):
            return "missing plugin on {}"
        if not matches_all(placement.constraints, node):
            return "scheduling constraints not satisfied on {}"
        if placement.platforms and (node.description.platform not in placement.platforms):
            return "unsupported platform on {}"
        busy = {
            p.published_port
            for t in self._on(node, holding=True)
            for p in self._template(t).ports
            if p.publish_mode == "host"
        }
        if any(port.publish_mode == "host" and port.published_port in busy for port in template.ports):
            return "host-mode port already in use on {}"
        there = [t for t in self._on(node, holding=False) if t.service_id == task.service_id]
        if task.node_id:
            there = [t for t in there if self.state_of[t.id] > PENDING]
        if placement.max_replicas and len(there) >= placement.max_replicas:
            return "max replicas per node limit exceed"
        return ""

    def _reserved(self, task: Task) -> Reservations:
        resources = self._template(task).spec.resources
        return (resources.reservations if resources else None) or NOTHING

    def _has_resources(self, task: Task, node: Node) -> bool:
        has, wants = node.description.resources or NOTHING, self._reserved(task)
        others = [self._reserved(t) for t in self._on(node, holding=True)]
        # as in SwarmKit: on a node that holds more than it has, what reserves anything does not fit
        return wants == NOTHING or (
            wants.nano_cpus + sum(o.nano_cpus for o in others) <= has.nano_cpus
            and wants.memory_bytes + sum(o.memory_bytes for o in others) <= has.memory_bytes
            and self._choose(task, node) is not None
        )

    def _choose(self, task: Task, node: Node) -> tuple[GenericResource, ...] | None:
        wants = [g.discrete_resource_spec for g in self._reserved(task).generic_resources]
        if not wants:
            return ()
        (want,) = wants
        assert want is not None
        taken = [g for t in self._on(node, holding=True) for g in self.given.get(t.id, ())]
        has = (node.description.resources or NOTHING).generic_resources
        named = [g for g in has if g.named_resource_spec and g not in taken]
        amount = sum(g.discrete_resource_spec.value for g in has if g.discrete_resource_spec)
        amount -= sum(g.discrete_resource_spec.value for g in taken if g.discrete_resource_spec)
        if named and len(named) >= want.value:
            return tuple(named[: want.value])
        if amount >= want.value:
            return (GenericResource(discrete_resource_spec=DiscreteResource(KIND, want.value)),)
        return None

    def _reason(self, task: Task, nodes: list[Node]) -> str:
        counts = Counter(self._refusal(task, node) for node in nodes)
        words = (
            "{} not available for new tasks",
            "insufficient resources on {}",
            "missing plugin on {}",
            "scheduling constraints not satisfied on {}",
            "unsupported platform on {}",
            "host-mode port already in use on {}",
            "max replicas per node limit exceed",
        )
        parts = [
            word.format(f"{counts[word]} node" if counts[word] == 1 else f"{counts[word]} nodes")
            for word in sorted(words, key=lambda word: -counts[word])
            if counts[word]
        ]
        return f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"
