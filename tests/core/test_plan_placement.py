"""The scheduler spreads tasks evenly, and says why it cannot (FACTS, chapters 3 and 8)."""

from msgspec.structs import replace
from skep.core.commands import UpdateNode
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.service import Placement, ServiceSpec
from skep.model.states import Availability, TaskState
from skep.testing.core_swarm import CoreSwarm


def placed(name: str, replicas: int, **placement: object) -> ServiceSpec:
    spec = service_spec(name, "demo", replicas=replicas)
    return replace(spec, task_template=replace(spec.template, placement=Placement(**placement)))  # type: ignore[arg-type]  # a test's keywords


def loads(swarm: CoreSwarm, service_id: ServiceId) -> list[int]:
    return [sum(t.service_id == service_id for t in swarm.state.tasks_on(node_id)) for node_id in swarm.state.nodes]


def reasons(swarm: CoreSwarm, service_id: ServiceId) -> set[str]:
    return {task.status.err for task in swarm.tasks(service_id) if task.state is TaskState.PENDING}


def test_seven_on_three_nodes_are_two_two_and_three() -> None:
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "demo", replicas=7))
    swarm.quiet()
    assert sorted(loads(swarm, web)) == [2, 2, 3]
    swarm.check()


def test_the_tasks_of_the_service_count_before_those_of_others() -> None:
    swarm = CoreSwarm(nodes=2)
    first = swarm.create(placed("first", 4, constraints=("node.hostname == node-1",)))
    swarm.quiet()
    assert loads(swarm, first) == [4, 0]
    second = swarm.create(service_spec("second", "demo", replicas=4))
    swarm.quiet()
    assert loads(swarm, second) == [2, 2]
    third = swarm.create(service_spec("third", "demo", replicas=1))
    swarm.quiet()
    assert loads(swarm, third) == [0, 1]
    swarm.check()


def test_constraints_choose_the_nodes() -> None:
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(placed("web", 4, constraints=("node.hostname != node-2",)))
    swarm.quiet()
    assert loads(swarm, web) == [2, 0, 2]
    swarm.check()


def test_where_no_node_fits_the_reason_says_so_and_a_label_helps_at_once() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(placed("web", 2, constraints=("node.labels.disk == ssd",)))
    swarm.quiet()
    assert reasons(swarm, web) == {"no suitable node (scheduling constraints not satisfied on 2 nodes)"}
    node = swarm.state.nodes[NodeId("node-2")]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"disk": "ssd"})))
    swarm.quiet()
    assert loads(swarm, web) == [0, 2]
    swarm.check()


def test_a_reason_is_written_once() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(placed("web", 1, constraints=("node.labels.disk == ssd",)))
    swarm.quiet()
    before = swarm.tasks(web)[0].version
    swarm.create(service_spec("other", "demo", replicas=3))
    swarm.quiet()
    assert swarm.tasks(web)[0].version == before
    swarm.check()


def test_no_more_replicas_on_a_node_than_the_spec_says() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(placed("web", 5, max_replicas=2))
    swarm.quiet()
    assert loads(swarm, web) == [2, 2]
    assert reasons(swarm, web) == {"no suitable node (max replicas per node limit exceed)"}
    swarm.check()


def test_nodes_that_take_nothing_new_are_named_in_the_reason() -> None:
    swarm = CoreSwarm(nodes=3)
    swarm.avail("node-1", Availability.PAUSE)
    swarm.avail("node-2", Availability.DRAIN)
    web = swarm.create(placed("web", 1, constraints=("node.labels.disk == ssd",)))
    swarm.quiet()
    assert reasons(swarm, web) == {
        "no suitable node (2 nodes not available for new tasks; scheduling constraints not satisfied on 1 node)"
    }
    swarm.check()


def test_without_any_node_tasks_wait() -> None:
    swarm = CoreSwarm(nodes=0)
    web = swarm.create(service_spec("web", "demo"))
    swarm.quiet()
    assert reasons(swarm, web) == {"no suitable node"}
    swarm.check()
