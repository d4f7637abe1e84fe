"""Which nodes there are for a task that waits: what it says follows them, and it goes as soon as one takes it."""

import pytest
from msgspec.structs import replace
from skep.core.codec import decode_state, encode_state
from skep.core.commands import DescribeNode, ObserveNodes, RemoveNode, RemoveService, UpdateNode
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.service import Placement, Reservations, ResourceRequirements, RestartPolicy, ServiceSpec
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.beginning import join_node, join_nodes
from skep.testing.core_swarm import CoreSwarm

GB = 1 << 30


def why(swarm: CoreSwarm, service_id: ServiceId) -> list[str]:
    """Return what the tasks of a service that have no node say, each reason once."""
    return [*dict.fromkeys(task.status.err for task in swarm.tasks(service_id, wanted=True) if not task.node_id)]


def needing(memory: int = 0, *constraints: str, replicas: int = 1, restart: RestartPolicy | None = None) -> ServiceSpec:
    spec = service_spec("web", "demo", replicas=replicas, restart=restart)
    wanted = ResourceRequirements(reservations=Reservations(memory_bytes=memory))
    task = replace(spec.template, resources=wanted, placement=Placement(constraints=constraints))
    return replace(spec, task_template=task)


@pytest.mark.parametrize("state", [NodeState.UNKNOWN, NodeState.DISCONNECTED, NodeState.DOWN])
def test_tasks_wait_while_no_node_is_ready_and_go_to_the_first_that_is(state: NodeState) -> None:
    swarm = CoreSwarm(nodes=2)
    for node_id in ("node-1", "node-2"):
        swarm.observe(node_id, state)
    web = swarm.create(service_spec("web", "demo", replicas=2))
    swarm.quiet()
    assert why(swarm, web) == ["no suitable node (2 nodes not available for new tasks)"]
    swarm.observe("node-2", NodeState.READY)
    swarm.quiet()
    assert [task.node_id for task in swarm.tasks(web)] == ["node-2", "node-2"]
    assert [task.status.err for task in swarm.tasks(web)] == ["", ""]
    swarm.check()


def test_the_first_node_that_joins_is_enough() -> None:
    swarm = CoreSwarm(nodes=0)
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.quiet()
    assert why(swarm, web) == ["no suitable node"]
    swarm.submit(join_nodes("late"))
    swarm.quiet()
    assert why(swarm, web) == ["no suitable node (1 node not available for new tasks)"]
    swarm.observe("late", NodeState.READY)
    swarm.quiet()
    assert swarm.running(web) == 3
    swarm.check()


def test_the_reason_follows_every_change_of_the_nodes() -> None:
    """Each node counts for the first filter that refuses it; the filter with most of them comes first."""
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(needing(GB, "node.labels.zone == a"))
    swarm.quiet()
    said = [why(swarm, web)]

    def then() -> None:
        swarm.quiet()
        swarm.check()
        said.append(why(swarm, web))

    swarm.avail("node-1", Availability.PAUSE)
    then()
    for node_id in ("node-2", "node-3"):
        description = swarm.state.nodes[NodeId(node_id)].description
        swarm.submit(DescribeNode(NodeId(node_id), replace(description, resources=Reservations(10**9, 2 * GB))))
    then()
    node = swarm.state.nodes[NodeId("node-2")]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, availability=Availability.DRAIN)))
    then()
    swarm.submit(RemoveNode(NodeId("node-1"), True))
    then()
    swarm.submit(RemoveNode(NodeId("node-2"), True))
    then()
    assert said == [
        ["no suitable node (insufficient resources on 3 nodes)"],
        ["no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)"],
        ["no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)"],
        ["no suitable node (2 nodes not available for new tasks; scheduling constraints not satisfied on 1 node)"],
        ["no suitable node (1 node not available for new tasks; scheduling constraints not satisfied on 1 node)"],
        ["no suitable node (scheduling constraints not satisfied on 1 node)"],
    ]
    node = swarm.state.nodes[NodeId("node-3")]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"zone": "A"})))
    swarm.quiet()
    assert swarm.running(web) == 1


def test_tasks_that_ended_long_ago_hold_nothing_after_a_recovery_either() -> None:
    swarm = CoreSwarm(nodes=0)
    swarm.submit(join_node("one", resources=Reservations(10**9, GB)))
    swarm.submit(ObserveNodes((NodeId("one"),), NodeState.READY))
    first = swarm.create(needing(GB, restart=RestartPolicy(condition="none")))
    swarm.quiet()
    swarm.report(swarm.tasks(first)[0], TaskState.FAILED)
    swarm.quiet()
    assert [task.state for task in swarm.tasks(first)] == [TaskState.FAILED]
    again = CoreSwarm(state=decode_state(encode_state(swarm.state)))
    second = again.create(replace(needing(GB, replicas=2), name="second"))
    again.quiet()
    assert again.running(second) == 1
    assert why(again, second) == ["no suitable node (insufficient resources on 1 node)"]
    again.check()


def test_a_task_that_waits_is_gone_with_its_service_and_leaves_nothing() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(needing(GB))
    swarm.quiet()
    assert [*swarm.state.pending] == [web]
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert not swarm.state.pending
    assert not swarm.state.tasks
    swarm.check()
