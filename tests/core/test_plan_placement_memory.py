"""What the scheduler remembers between plans only makes it quick: a state that remembers nothing gets the same plan."""

from msgspec.structs import replace
from skep.core.events import (
    ROWS_MAX,
    Event,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    ServiceCreated,
    TasksAssigned,
    TasksCreated,
    TasksReported,
)
from skep.core.failures import FAULTY, RECENT
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.plan import Plan
from skep.core.plan.scheduler import plan_placement
from skep.core.plan.scheduler.ground import POOLS_MAX, RANKINGS_MAX, Ground
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.core.transaction import run_plan
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import Placement
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.model.task import TaskStatus
from skep.testing.sources import BEGINNING, NumberedIds

ACTIVE = NodeSpec(role=Role.WORKER, availability=Availability.ACTIVE)
PAUSED = replace(ACTIVE, availability=Availability.PAUSE)
WEB = ServiceId("web")


class Cluster:
    """A state to which events happen; each plan that is made is compared with that of a state without memory."""

    def __init__(self, nodes: int) -> None:
        self.state = ClusterState()
        self.now = BEGINNING
        self.ids = tuple(NodeId(f"n{i}") for i in range(nodes))
        descriptions = tuple(NodeDescription(hostname=node_id) for node_id in self.ids)
        self.do(NodesJoined(self.ids, (ACTIVE,) * nodes, descriptions, ("",) * nodes, (None,) * nodes))
        self.do(NodesObserved(self.ids, NodeState.READY))

    def do(self, event: Event) -> None:
        fold(self.state, Position(self.state.position + 1), self.now, "", (event,))

    def create(self, service_id: ServiceId, *constraints: str) -> None:
        spec = stored(service_spec(service_id, "demo"))
        template = replace(spec.template, placement=Placement(constraints=constraints))
        self.do(ServiceCreated(service_id, replace(spec, task_template=template)))

    def add(self, service_id: ServiceId, tasks: int) -> tuple[TaskId, ...]:
        known = len(self.state.tasks)
        slots = tuple(range(known + 1, known + tasks + 1))
        ids = tuple(TaskId(f"t{slot}") for slot in slots)
        self.do(TasksCreated(service_id, self.state.services[service_id].spec_version, ids, slots=slots))
        return ids

    def place(self) -> Plan:
        cold = plan_placement(self.state.copy(), "", self.now, NumberedIds("none"))
        warm, _ = run_plan(self.state, "placement", "", self.now, NumberedIds("none"))
        assert warm == cold
        return warm

    def remembered(self) -> Ground:
        memo = self.state.shifts.memo
        assert isinstance(memo, Ground)
        return memo

    def load(self, node: int) -> int:
        return self.state.service_tasks[WEB].on_node.get(self.ids[node], 0)


def test_a_backlog_is_cut_into_the_same_plans_by_an_engine_that_forgot() -> None:
    cluster = Cluster(nodes=401)
    cluster.create(WEB)
    for _ in range(3):
        cluster.add(WEB, ROWS_MAX)
    while cluster.place().commands:
        pass
    assert not cluster.state.pending
    check(cluster.state)


def test_a_service_on_most_nodes_does_not_avoid_a_node_for_failures_that_are_old() -> None:
    cluster = Cluster(nodes=3)
    cluster.create(WEB)
    for task_id in cluster.add(WEB, FAULTY):
        cluster.do(TasksAssigned((task_id,), cluster.ids[:1]))
        cluster.do(TasksReported(cluster.ids[0], (task_id,), (TaskStatus(TaskState.FAILED, cluster.now),)))
    cluster.add(WEB, 4)
    cluster.place()
    assert cluster.remembered().rankings
    assert [cluster.load(node) for node in range(3)] == [0, 2, 2]
    cluster.now = Instant(cluster.now + RECENT + 1)
    cluster.add(WEB, 2)
    cluster.place()
    assert [cluster.load(node) for node in range(3)] == [2, 2, 2]


def test_a_service_on_most_nodes_follows_its_nodes_after_its_pool_was_forgotten() -> None:
    cluster = Cluster(nodes=2)
    cluster.do(NodeUpdated(cluster.ids[1], PAUSED))
    cluster.create(WEB, "node.role == worker")
    cluster.add(WEB, 3)
    cluster.place()
    for number in range(POOLS_MAX):
        cluster.create(ServiceId(f"other{number}"), f"node.hostname == elsewhere{number}")
        cluster.add(ServiceId(f"other{number}"), 1)
    cluster.place()
    assert cluster.remembered().rankings
    cluster.do(NodeUpdated(cluster.ids[1], ACTIVE))
    cluster.add(WEB, 2)
    cluster.place()
    assert [cluster.load(node) for node in range(2)] == [3, 2]


def test_of_many_services_on_most_nodes_the_oldest_ranking_is_forgotten() -> None:
    cluster = Cluster(nodes=2)
    services = [ServiceId(f"s{number}") for number in range(RANKINGS_MAX + 3)]
    for service_id in services:
        cluster.create(service_id)
        cluster.add(service_id, 5)
    cluster.place()
    assert [service_id for service_id, _ in cluster.remembered().rankings] == services[3:]
    for service_id in services:
        cluster.add(service_id, 3)
    cluster.place()
    assert [cluster.state.node_tasks[node_id].active for node_id in cluster.ids] == [4 * len(services)] * 2
