"""Which node of those that fit: spread over labels, away from failures, even (SwarmKit's design/scheduler.md)."""

from collections import Counter

import pytest
from msgspec.structs import replace
from skep.core.commands import Command, ObserveNodes, RemoveService, UpdateNode
from skep.core.events import NodesJoined, NodesObserved, ServiceCreated, TasksCreated
from skep.core.failures import FAULTY
from skep.core.fold_task import CONFIRMED
from skep.core.rules.stored import stored
from skep.model.build import service_spec
from skep.model.ids import NodeId, Position, ServiceId, TaskId
from skep.model.node import EngineDescription, NodeDescription, NodeSpec
from skep.model.service import (
    Placement,
    PlacementPreference,
    ReplicatedJobMode,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    SpreadOver,
)
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.testing.beginning import join_node
from skep.testing.core_swarm import CoreSwarm
from skep.testing.given import given

WEB = ServiceId("web")
GIB = 2**30


def swarm_of(*joins: Command) -> CoreSwarm:
    swarm = CoreSwarm(nodes=0)
    for join in joins:
        swarm.submit(join)
    swarm.submit(ObserveNodes(tuple(swarm.state.nodes), NodeState.READY))
    return swarm


def zoned(*zones: str) -> CoreSwarm:
    return swarm_of(*(join_node(f"n{i}", labels={"zone": zone} if zone else None) for i, zone in enumerate(zones, 1)))


def spreading(replicas: int, *labels: str, **placement: object) -> ServiceSpec:
    spec = service_spec("web", "demo", replicas=replicas)
    preferences = tuple(PlacementPreference(SpreadOver(label)) for label in labels)
    said = Placement(preferences=preferences, **placement)  # type: ignore[arg-type]  # a test's keywords
    policy = RestartPolicy(delay=0)
    return replace(spec, task_template=replace(spec.template, placement=said, restart_policy=policy))


def loads(swarm: CoreSwarm, service_id: ServiceId) -> list[int]:
    counts = Counter(t.node_id for t in swarm.tasks(service_id, wanted=True))
    return [counts[node_id] for node_id in swarm.state.nodes]


def placed(swarm: CoreSwarm, spec: ServiceSpec) -> ServiceId:
    service_id = swarm.create(spec)
    swarm.quiet()
    return service_id


# --- labels


def test_tasks_are_spread_over_the_values_of_a_label_before_nodes() -> None:
    swarm = zoned("a", "a", "b")
    assert loads(swarm, placed(swarm, spreading(6, "node.labels.zone"))) == [2, 1, 3]
    swarm.check()


def test_labels_of_the_engine_are_spread_over_too_and_kinds_of_labels_have_no_case() -> None:
    def join(name: str, disk: str) -> Command:
        return join_node(name, engine=EngineDescription(labels={"disk": disk}))

    swarm = swarm_of(join("n1", "ssd"), join("n2", "ssd"), join("n3", "hdd"))
    assert loads(swarm, placed(swarm, spreading(4, "Engine.Labels.disk"))) == [1, 1, 2]
    swarm.check()


def test_nodes_without_the_label_are_a_group_of_their_own() -> None:
    swarm = zoned("a", "a", "", "")
    assert loads(swarm, placed(swarm, spreading(4, "node.labels.zone"))) == [1, 1, 1, 1]
    swarm = zoned("a", "", "", "")
    assert loads(swarm, placed(swarm, spreading(6, "node.labels.zone"))) == [3, 1, 1, 1]


@pytest.mark.parametrize("descriptor", ["node.hostname", "node.labels.", "zone"])
def test_what_is_no_label_is_not_spread_over(descriptor: str) -> None:
    swarm = zoned("a", "a", "b")
    assert loads(swarm, placed(swarm, spreading(6, descriptor))) == [2, 2, 2]


def test_a_second_label_is_spread_over_within_the_first() -> None:
    # SwarmKit's own case: one node of the first zone has too little memory, the other takes five at most
    def join(name: str, zone: str, rack: str, memory: int) -> Command:
        return join_node(name, labels={"az": zone, "rack": rack}, resources=Reservations(0, memory * GIB))

    swarm = swarm_of(
        join("n0", "az1", "rack1", 1),
        join("n1", "az1", "rack1", 10),
        *(join(f"n{i}", "az2", "rack1", 20) for i in (2, 3, 4)),
        *(join(f"n{i}", "az2", "rack2", 20) for i in (5, 6)),
    )
    spec = spreading(12, "node.labels.az", "node.labels.rack")
    required = ResourceRequirements(reservations=Reservations(0, 2 * GIB))
    web = placed(swarm, replace(spec, task_template=replace(spec.template, resources=required)))
    n0, n1, *others = loads(swarm, web)
    assert (n0, n1) == (0, 5)
    assert sorted([sum(others[:3]), sum(others[3:])]) == [3, 4]
    assert max(others) - min(others) <= 1
    swarm.check()


def test_scaling_up_goes_on_with_the_spread_over_all_tasks_of_the_service() -> None:
    swarm = zoned("a", "a", "b")
    swarm.avail("n3", Availability.PAUSE)
    web = placed(swarm, spreading(4, "node.labels.zone"))
    assert loads(swarm, web) == [2, 2, 0]
    swarm.avail("n3", Availability.ACTIVE)
    for replicas, expected in ((6, [2, 2, 2]), (8, [2, 2, 4]), (10, [3, 2, 5])):
        swarm.scale(web, replicas)
        swarm.quiet()
        assert loads(swarm, web) == expected
    swarm.check()


def test_nested_labels_are_kept_even_when_scaling_up() -> None:
    # SwarmKit's regression test: 3, 1 and 3 tasks run, two more go where there are fewest
    swarm = swarm_of(
        join_node("id11", labels={"az": "dc1", "rack": "r1"}),
        join_node("id12", labels={"az": "dc1", "rack": "r2"}),
        join_node("id21", labels={"az": "dc2", "rack": "r1"}),
    )
    web = placed(swarm, spreading(4, "node.labels.az", "node.labels.rack"))
    assert loads(swarm, web) == [1, 1, 2]
    swarm.scale(web, 9)
    swarm.quiet()
    assert loads(swarm, web) in ([2, 2, 5], [3, 2, 4], [2, 3, 4])
    swarm.check()


def test_a_group_in_which_none_fits_leaves_its_share_to_the_others() -> None:
    swarm = zoned("a", "b", "b")
    swarm.avail("n1", Availability.PAUSE)
    assert loads(swarm, placed(swarm, spreading(4, "node.labels.zone"))) == [0, 2, 2]


def test_a_node_is_in_the_group_that_it_has_now() -> None:
    swarm = zoned("a", "b", "b")
    web = placed(swarm, spreading(2, "node.labels.zone"))
    node = swarm.state.nodes[NodeId("n3")]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"zone": "c"})))
    swarm.scale(web, 3)
    swarm.quiet()
    assert loads(swarm, web) == [1, 1, 1]
    swarm.check()


# --- failures


def failing(swarm: CoreSwarm, service_id: ServiceId, node_id: str, times: int) -> None:
    """Let the service's only task fail so often on a node to which alone it may go."""
    others = [i for i in swarm.state.nodes if i != node_id]
    for other in others:
        swarm.avail(other, Availability.PAUSE)
    for left in reversed(range(times)):
        swarm.advance(6)
        (task,) = swarm.tasks(service_id, wanted=True)
        assert task.node_id == node_id
        if not left:
            for other in others:
                swarm.avail(other, Availability.ACTIVE)
        swarm.report(task, TaskState.FAILED)
    swarm.quiet()


def moved(times: int, wait_s: float = 0) -> str:
    """Return where a task is after its service failed so often on the first of two nodes; the second has more tasks."""
    swarm = CoreSwarm(nodes=2)
    web = placed(swarm, spreading(1, constraints=("node.hostname == node-1",)))
    swarm.update(web, spreading(1, constraints=("node.role == worker",)))
    busy = service_spec("busy", "demo", replicas=3)
    placement = Placement(constraints=("node.hostname == node-2",))
    placed(swarm, replace(busy, task_template=replace(busy.template, placement=placement)))
    failing(swarm, web, "node-1", times)
    if wait_s:
        swarm.advance(wait_s)
        (task,) = swarm.tasks(web, wanted=True)
        swarm.report(task, TaskState.FAILED)
    swarm.advance(6)
    (task,) = swarm.tasks(web, wanted=True)
    swarm.check()
    return task.node_id


def test_a_node_with_many_recent_failures_of_a_service_comes_last_for_it() -> None:
    assert moved(FAULTY) == "node-2"


def test_fewer_failures_do_not_matter() -> None:
    assert moved(FAULTY - 1) == "node-1"


def test_failures_are_forgotten_after_five_minutes() -> None:
    assert moved(FAULTY, wait_s=301) == "node-1"


def test_failures_count_for_their_template_alone() -> None:
    swarm = CoreSwarm(nodes=2)
    web = placed(swarm, spreading(1))
    first = swarm.tasks(web)[0].node_id
    failing(swarm, web, first, FAULTY)
    assert swarm.tasks(web, wanted=True)[0].node_id != first
    spec = swarm.service(web).spec
    swarm.update(web, replace(spec, task_template=replace(spec.template, force_update=1)))
    swarm.advance(60)
    old, new = (t.origin.spec_version for t in (swarm.tasks(web)[0], swarm.tasks(web)[-1]))
    assert old != new
    assert swarm.state.failures[web].faulty(old, swarm.now)
    assert not swarm.state.failures[web].faulty(new, swarm.now)
    swarm.check()


def test_where_all_nodes_are_faulty_tasks_still_go_somewhere() -> None:
    swarm = CoreSwarm(nodes=1)
    web = placed(swarm, spreading(1))
    failing(swarm, web, "node-1", FAULTY + 1)
    assert loads(swarm, web) == [1]
    swarm.check()


def test_what_failed_is_forgotten_with_its_service() -> None:
    swarm = CoreSwarm(nodes=1)
    web = placed(swarm, spreading(1))
    failing(swarm, web, "node-1", 2)
    assert swarm.state.failures[web].at
    swarm.submit(RemoveService(web))
    assert web not in swarm.state.failures
    swarm.advance(1)
    swarm.check()


# --- born with a node


def born_with_a_node(
    spec: ServiceSpec, *nodes: NodeDescription, availability: Availability = Availability.ACTIVE
) -> CoreSwarm:
    """Return a swarm in which each node was just given a task of `spec`."""
    names = tuple(NodeId(node.hostname) for node in nodes)
    specs = (NodeSpec(labels={}, role=Role.WORKER, availability=availability),) * len(nodes)
    beginning = given(
        NodesJoined(names, specs, nodes, ("",) * len(nodes), (None,) * len(nodes)),
        NodesObserved(names, NodeState.READY),
        ServiceCreated(WEB, stored(replace(spec, mode=ServiceMode(global_={})))),
        TasksCreated(WEB, Position(3), tuple(TaskId(f"t-{i}") for i in names), node_ids=names),
    )
    return CoreSwarm(state=beginning.state)


def reserving(memory: int) -> ServiceSpec:
    spec = service_spec("web", "demo")
    required = ResourceRequirements(reservations=Reservations(0, memory))
    return replace(spec, task_template=replace(spec.template, resources=required))


def test_a_task_that_was_born_with_a_node_is_confirmed_there() -> None:
    swarm = born_with_a_node(service_spec("web", "demo"), NodeDescription("one"), NodeDescription("two"))
    swarm.settle()
    for node_id in ("one", "two"):
        task = swarm.state.tasks[TaskId(f"t-{node_id}")]
        assert (task.node_id, task.state, task.status.message) == (node_id, TaskState.ASSIGNED, CONFIRMED)
        assert swarm.state.node_tasks[NodeId(node_id)].active == 1
    swarm.check()


def test_a_task_that_was_born_with_a_node_waits_for_that_node_alone() -> None:
    has = Reservations(0, GIB)
    swarm = born_with_a_node(reserving(GIB), NodeDescription("one"), NodeDescription("two", resources=has))
    swarm.settle()
    task = swarm.state.tasks[TaskId("t-one")]
    assert (task.state, task.status.err) == (
        TaskState.PENDING,
        "no suitable node (insufficient resources on 1 node)",
    )
    assert swarm.state.tasks[TaskId("t-two")].state is TaskState.ASSIGNED
    swarm.check()


def test_a_task_on_a_paused_node_waits_until_it_is_active() -> None:
    swarm = born_with_a_node(service_spec("web", "demo"), NodeDescription("one"), availability=Availability.PAUSE)
    swarm.settle()
    assert swarm.state.tasks[TaskId("t-one")].status.err == "no suitable node (1 node not available for new tasks)"
    swarm.avail("one", Availability.ACTIVE)
    swarm.settle()
    assert swarm.state.tasks[TaskId("t-one")].state is TaskState.ASSIGNED
    swarm.check()


def test_tasks_that_were_born_with_a_node_take_its_resources_before_others() -> None:
    swarm = born_with_a_node(reserving(GIB), NodeDescription("one", resources=Reservations(0, GIB)))
    other = swarm.create(replace(reserving(GIB), name="other"))
    swarm.settle()
    assert swarm.state.tasks[TaskId("t-one")].state is TaskState.ASSIGNED
    assert swarm.tasks(other)[0].state is TaskState.PENDING
    swarm.check()


def test_a_task_that_was_born_with_a_node_does_not_stand_in_its_own_way() -> None:
    spec = service_spec("web", "demo")
    spec = replace(spec, task_template=replace(spec.template, placement=Placement(max_replicas=1)))
    swarm = born_with_a_node(spec, NodeDescription("one"))
    swarm.settle()
    assert swarm.state.tasks[TaskId("t-one")].state is TaskState.ASSIGNED
    swarm.check()


def test_tasks_of_a_job_are_placed_and_are_wanted_complete() -> None:
    spec = replace(service_spec("job", "demo"), mode=ServiceMode(replicated_job=ReplicatedJobMode(2, 2)))
    beginning = given(
        NodesJoined(
            (NodeId("one"),), (NodeSpec(availability=Availability.ACTIVE),), (NodeDescription("one"),), ("",), (None,)
        ),
        NodesObserved((NodeId("one"),), NodeState.READY),
        ServiceCreated(WEB, stored(spec)),
        TasksCreated(WEB, Position(3), (TaskId("t0"), TaskId("t1")), desired=TaskState.COMPLETE, slots=(0, 1)),
    )
    swarm = CoreSwarm(state=beginning.state)
    swarm.settle()
    for task in swarm.tasks(WEB):
        assert (task.node_id, task.state, task.desired) == ("one", TaskState.ASSIGNED, TaskState.COMPLETE)
