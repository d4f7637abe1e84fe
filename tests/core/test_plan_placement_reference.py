"""The scheduler's shortcuts never change its answer: it equals a brute force over the tables, remembering or not."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.commands import AssignTasks, HoldTasks
from skep.core.constraints import matches_all
from skep.core.events import (
    Event,
    NodeDescribed,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    ServiceCreated,
    ServiceUpdated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksReaped,
    TasksReported,
)
from skep.core.failures import FAULTY, RECENT
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.plan.scheduler import plan_placement
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.core.transaction import run_plan
from skep.model.build import service_spec
from skep.model.container import Driver
from skep.model.ids import NANOSECONDS, Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import EngineDescription, EnginePlugin, Node, NodeDescription, NodeSpec
from skep.model.service import (
    DiscreteResource,
    EndpointSpec,
    GenericResource,
    NamedResource,
    Placement,
    PlacementPreference,
    Platform,
    PortConfig,
    Reservations,
    ResourceRequirements,
    ServiceMode,
    ServiceSpec,
    SpreadOver,
    TaskTemplate,
)
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.model.task import Task, TaskStatus
from skep.testing.sources import BEGINNING, NumberedIds

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING
KIND = "gpu"
NOTHING = Reservations()


# --- the brute force: tables only, every node for every task


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


# --- random clusters

ZONES = st.sampled_from(["a", "b", ""])
NODE_SPECS = st.builds(
    NodeSpec,
    labels=st.fixed_dictionaries({}, optional={"zone": ZONES, "rack": st.sampled_from(["1", "2"])}),
    role=st.just(Role.WORKER),
    availability=st.sampled_from([Availability.ACTIVE, Availability.ACTIVE, Availability.ACTIVE, Availability.PAUSE]),
)
NAMED = tuple(GenericResource(named_resource_spec=NamedResource(KIND, f"g{i}")) for i in range(3))
AMOUNT = (GenericResource(discrete_resource_spec=DiscreteResource(KIND, 3)),)
DESCRIPTIONS = st.builds(
    NodeDescription,
    hostname=st.sampled_from(["x", "y"]),
    platform=st.sampled_from([None, Platform("amd64", "linux"), Platform("arm64", "linux")]),
    resources=st.none()
    | st.builds(
        Reservations,
        nano_cpus=st.integers(0, 4),
        memory_bytes=st.integers(0, 4),
        generic_resources=st.sampled_from([(), NAMED, NAMED[:1], AMOUNT]),
    ),
    engine=st.builds(
        EngineDescription,
        labels=st.fixed_dictionaries({}, optional={"disk": st.sampled_from(["ssd", "hdd"])}),
        plugins=st.sampled_from(
            [(EnginePlugin("Log", "json-file"),), (EnginePlugin("Log", "json-file"), EnginePlugin("Log", "syslog"))]
        ),
    ),
)
PREFERENCES = st.lists(
    st.sampled_from(["node.labels.zone", "node.labels.rack", "engine.labels.disk"]), max_size=2, unique=True
)
MODES = st.sampled_from(["replicated", "replicated", "replicated", "global"])


@st.composite
def specs(draw: st.DrawFn, name: str) -> ServiceSpec:
    spec = service_spec(name, "demo")
    placement = None
    if draw(st.booleans()):
        spread = tuple(PlacementPreference(SpreadOver(label)) for label in draw(PREFERENCES))
        placement = Placement(
            constraints=draw(st.sampled_from([(), ("node.labels.zone == a",), ("engine.labels.disk != ssd",)])),
            preferences=spread,
            max_replicas=draw(st.sampled_from([0, 0, 1, 2])),
            platforms=draw(st.sampled_from([(), (), (Platform("amd64", "linux"),)])),
        )
    resources = None
    if draw(st.booleans()):
        amount = draw(st.integers(0, 2))
        generic = (GenericResource(discrete_resource_spec=DiscreteResource(KIND, amount)),) if amount else ()
        reserved = Reservations(draw(st.integers(0, 2)), draw(st.integers(0, 2)), generic)
        resources = ResourceRequirements(reservations=reserved)
    log_driver = draw(st.sampled_from([None, None, None, "syslog"]))
    template = replace(spec.template, placement=placement, resources=resources)
    if log_driver is not None:
        template = replace(template, log_driver=Driver(name=log_driver))
    spec = replace(spec, task_template=template)
    if draw(st.integers(0, 4)) == 0:
        ports = (PortConfig(target_port=80, published_port=draw(st.integers(80, 81)), publish_mode="host"),)
        spec = replace(spec, endpoint_spec=EndpointSpec(ports=ports))
    if draw(MODES) == "global":
        spec = replace(spec, mode=ServiceMode(global_={}))
    return spec


class Story:
    """A cluster to which anything may happen that the scheduler must take into account."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.state = ClusterState()
        self.now = BEGINNING
        self.made = 0

    def do(self, event: Event) -> None:
        fold(self.state, Position(self.state.position + 1), self.now, "", (event,))

    def new(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    def node(self) -> Node:
        return self.draw(st.sampled_from(list(self.state.nodes.values())))

    # --- what may happen

    def join(self) -> None:
        node_id = NodeId(self.new("n"))
        self.do(NodesJoined((node_id,), (self.draw(NODE_SPECS),), (self.draw(DESCRIPTIONS),), ("",), (None,)))
        self.do(NodesObserved((node_id,), NodeState.READY))

    def leave(self) -> None:
        node = self.node()
        self.do(NodeRemoved(node.id))
        if self.draw(st.booleans()):
            self.do(NodesJoined((node.id,), (node.spec,), (node.description,), ("",), (None,)))
            self.do(NodesObserved((node.id,), NodeState.READY))

    def respecify_node(self) -> None:
        self.do(NodeUpdated(self.node().id, self.draw(NODE_SPECS)))

    def redescribe_node(self) -> None:
        self.do(NodeDescribed(self.node().id, self.draw(DESCRIPTIONS)))

    def observe_node(self) -> None:
        self.do(NodesObserved((self.node().id,), self.draw(st.sampled_from([NodeState.READY, NodeState.DOWN]))))

    def create_service(self) -> None:
        service_id = ServiceId(self.new("s"))
        self.do(ServiceCreated(service_id, stored(self.draw(specs(service_id)))))
        self.add_tasks(service_id)

    def scale_service(self) -> None:
        if self.state.services:
            self.add_tasks(self.draw(st.sampled_from(list(self.state.services))))

    def respecify_service(self) -> None:
        if self.state.services:
            service = self.draw(st.sampled_from(list(self.state.services.values())))
            spec = stored(self.draw(specs(service.spec.name)))
            self.do(ServiceUpdated(service.id, replace(spec, mode=service.spec.mode)))
            self.add_tasks(service.id)

    def add_tasks(self, service_id: ServiceId) -> None:
        service = self.state.services[service_id]
        if service.spec.kind.per_node:
            of = self.state.service_tasks.get(service_id)
            node_ids = tuple(i for i in self.state.nodes if of is None or i not in of.wanted_by_seat)
            if node_ids:
                ids = tuple(TaskId(self.new("t")) for _ in node_ids)
                self.do(TasksCreated(service_id, service.spec_version, ids, node_ids=node_ids))
            return
        ids = tuple(TaskId(self.new("t")) for _ in range(self.draw(st.integers(1, 7))))
        self.do(TasksCreated(service_id, service.spec_version, ids, slots=tuple(int(i[1:]) for i in ids)))

    def report_task(self) -> None:
        placed = [t for t in self.state.tasks.values() if t.node_id and PENDING < t.state <= RUNNING]
        if placed:
            task = self.draw(st.sampled_from(placed))
            ended = st.sampled_from([RUNNING, TaskState.FAILED, TaskState.COMPLETE, TaskState.REJECTED])
            self.report(task.id, self.draw(ended))

    def report(self, task_id: TaskId, state: TaskState) -> None:
        node_id = self.state.tasks[task_id].node_id
        self.do(TasksReported(node_id, (task_id,), (TaskStatus(state, self.now, state.word),)))

    def fail_again(self) -> None:
        services = [s for s in self.state.services.values() if not s.spec.kind.per_node]
        if services:
            service, node = self.draw(st.sampled_from(services)), self.node()
            for _ in range(self.draw(st.integers(FAULTY - 1, FAULTY + 1))):
                task_id = TaskId(self.new("t"))
                self.do(TasksCreated(service.id, service.spec_version, (task_id,), slots=(int(task_id[1:]),)))
                self.do(TasksAssigned((task_id,), (node.id,)))
                self.report(task_id, TaskState.FAILED)
            self.add_tasks(service.id)

    def unwant_task(self) -> None:
        wanted = [t for t in self.state.tasks.values() if t.wanted]
        if wanted:
            task = self.draw(st.sampled_from(wanted))
            self.do(TasksDesired((task.id,), self.draw(st.sampled_from([TaskState.SHUTDOWN, TaskState.REMOVE]))))

    def reap_task(self) -> None:
        reapable = [i for of in self.state.service_tasks.values() for i in of.reapable]
        if reapable:
            self.do(TasksReaped((self.draw(st.sampled_from(reapable)),)))

    def wait(self) -> None:
        self.now = Instant(self.now + self.draw(st.sampled_from([1, 100, 301])) * NANOSECONDS)

    def probe(self) -> None:
        """Ask the scheduler, and do nothing of what it says."""
        plan_placement(self.state, "", self.now, NumberedIds("probe"))

    def place(self) -> None:
        state, ids = self.state, NumberedIds("none")
        if self.draw(st.booleans()):
            self.probe()
        expected = Reference(state.copy(), self.now).run()
        cold = plan_placement(state.copy(), "", self.now, ids)
        warm, _ = run_plan(state, "placement", "", self.now, ids)
        assert warm == cold
        assigned, resources, held = {}, {}, {}
        for command in warm.commands:
            if isinstance(command, AssignTasks):
                assigned = dict(zip(command.task_ids, command.node_ids, strict=True))
                resources = dict(zip(command.task_ids, command.resources, strict=False))
            if isinstance(command, HoldTasks):
                held = dict(zip(command.task_ids, command.reasons, strict=True))
        assert assigned == expected.assigned
        assert {i: given for i, given in resources.items() if given} == {
            i: given for i, given in expected.resources.items() if given
        }
        assert held == expected.held
        assert not run_plan(state, "placement", "", self.now, ids)[0].commands


STEPS = (
    *(Story.join, Story.leave, Story.respecify_node, Story.redescribe_node, Story.observe_node, Story.create_service),
    *(Story.scale_service, Story.respecify_service, Story.report_task, Story.fail_again, Story.unwant_task),
    *(Story.reap_task, Story.wait, Story.probe, Story.place, Story.place, Story.create_service, Story.report_task),
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_scheduler_answers_as_a_brute_force_does_whatever_it_remembers(data: st.DataObject) -> None:
    story = Story(data.draw)
    for _ in range(data.draw(st.integers(1, 7))):
        story.join()
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(STEPS))
        if story.state.nodes or step in (Story.join, Story.wait, Story.probe, Story.place, Story.reap_task):
            step(story)
    story.place()
    check(story.state)
