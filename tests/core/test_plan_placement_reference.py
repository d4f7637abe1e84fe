"""The scheduler's shortcuts never change its answer: it equals a brute force over the tables, remembering or not."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.commands import AssignTasks, HoldTasks
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
from skep.core.failures import FAULTY
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
)
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.model.task import TaskStatus
from skep.testing.sources import BEGINNING, NumberedIds

from tests.core.placement_reference import Reference

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING
KIND = "gpu"
NOTHING = Reservations()


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
