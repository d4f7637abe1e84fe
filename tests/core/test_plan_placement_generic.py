"""Generic resources: what is asked for twice, in odd amounts, or described oddly; nothing is given twice or leaks."""

import pytest
from msgspec.structs import replace
from skep.core.commands import DescribeNode, ObserveNodes, RemoveNode, RemoveService
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    NamedResource,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceSpec,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.beginning import join_node
from skep.testing.core_swarm import CoreSwarm

ONE = NodeId("node-1")


def amount(kind: str, value: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind, value))


def named(kind: str, *names: str) -> tuple[GenericResource, ...]:
    return tuple(GenericResource(named_resource_spec=NamedResource(kind, name)) for name in names)


def having(*resources: GenericResource, nodes: int = 1) -> CoreSwarm:
    swarm = CoreSwarm(nodes=0)
    for number in range(1, nodes + 1):
        swarm.submit(join_node(f"node-{number}", resources=Reservations(10**9, 2**30, resources)))
    swarm.submit(ObserveNodes(tuple(swarm.state.nodes), NodeState.READY))
    return swarm


def asking(
    name: str, *resources: GenericResource, replicas: int = 1, restart: RestartPolicy | None = None
) -> ServiceSpec:
    spec = service_spec(name, "demo", replicas=replicas, restart=restart)
    wanted = ResourceRequirements(reservations=Reservations(generic_resources=resources))
    return replace(spec, task_template=replace(spec.template, resources=wanted))


def begun(swarm: CoreSwarm, spec: ServiceSpec) -> ServiceId:
    service_id = swarm.create(spec)
    swarm.quiet()
    swarm.check()
    return service_id


def given_to(swarm: CoreSwarm, service_id: ServiceId) -> list[list[str | int]]:
    """Return the units, or the amounts, that each live task of a service has."""
    return [
        [
            one.named_resource_spec.value if one.named_resource_spec else one.discrete_resource_spec.value
            for one in swarm.state.given[task.id].resources
            if one.named_resource_spec or one.discrete_resource_spec
        ]
        for task in swarm.tasks(service_id, wanted=True)
        if task.id in swarm.state.given
    ]


def held(swarm: CoreSwarm, node_id: NodeId = ONE) -> bool:
    index = swarm.state.node_tasks.get(node_id)
    return index is not None and index.held is not None


def test_a_kind_that_is_asked_for_twice_is_asked_for_together() -> None:
    swarm = having(*named("gpu", "a", "b", "c"), amount("disk", 3))
    assert given_to(swarm, begun(swarm, asking("two", amount("gpu", 1), amount("gpu", 1)))) == [["a", "b"]]
    assert given_to(swarm, begun(swarm, asking("three", amount("disk", 2), amount("disk", 1)))) == [[3]]
    waits = begun(swarm, asking("waits", amount("gpu", 1), amount("gpu", 1)))
    assert swarm.tasks(waits)[0].status.err == "no suitable node (insufficient resources on 1 node)"


@pytest.mark.parametrize("value", [0, -1, -(2**62)])
def test_less_than_nothing_is_nothing(value: int) -> None:
    swarm = having(*named("gpu", "a"), amount("disk", 1))
    assert given_to(swarm, begun(swarm, asking("odd", amount("disk", value), amount("gpu", value)))) == []
    assert given_to(swarm, begun(swarm, asking("all", amount("disk", 1), amount("gpu", 1)))) == [[1, "a"]]
    more = begun(swarm, asking("more", amount("disk", 1)))
    assert swarm.tasks(more)[0].state is TaskState.PENDING


def test_a_unit_that_a_node_describes_twice_is_one() -> None:
    swarm = having(*named("gpu", "a", "a", "b"))
    assert given_to(swarm, begun(swarm, asking("two", amount("gpu", 2)))) == [["a", "b"]]


def test_what_is_asked_for_by_name_is_never_had() -> None:
    """Only nodes have units with names (as in SwarmKit): a service asks for a number of them."""
    swarm = having(*named("gpu", "a"))
    waits = begun(swarm, asking("waits", *named("gpu", "a")))
    assert swarm.tasks(waits)[0].status.err == "no suitable node (insufficient resources on 1 node)"


@pytest.mark.parametrize("how", ["fails", "removed", "drained", "down", "struck", "scaled"])
def test_units_come_back_however_their_task_ends(how: str) -> None:
    swarm = having(*named("gpu", "a"), amount("disk", 2), nodes=2)
    web = begun(
        swarm, asking("web", amount("gpu", 1), amount("disk", 2), replicas=2, restart=RestartPolicy(condition="none"))
    )
    assert given_to(swarm, web) == [["a", 2], ["a", 2]]
    assert held(swarm)
    node = swarm.state.nodes[ONE]
    match how:
        case "fails":
            for task in list(swarm.state.tasks_on(ONE)):
                swarm.report(task, TaskState.FAILED)
        case "removed":
            swarm.submit(RemoveService(web))
        case "drained":
            swarm.avail(ONE, Availability.DRAIN)
        case "down":
            swarm.observe(ONE, NodeState.DOWN)
            swarm.advance(25 * 3600)
        case "struck":
            swarm.submit(RemoveNode(node.id, True))
        case "scaled":
            swarm.scale(web, 0)
    swarm.advance(60)
    assert not held(swarm)
    swarm.check()


def test_a_node_that_describes_fewer_units_keeps_the_tasks_whose_units_it_still_has() -> None:
    swarm = having(*named("gpu", "a", "b"), amount("disk", 2))
    web = begun(swarm, asking("web", amount("gpu", 1), amount("disk", 1), replicas=2))
    node = swarm.state.nodes[ONE]
    less = replace(node.description, resources=Reservations(10**9, 2**30, (*named("gpu", "b"), amount("disk", 2))))
    swarm.submit(DescribeNode(ONE, less))
    swarm.advance(10)
    assert given_to(swarm, web) == [["b", 1]]
    waiting = [task for task in swarm.tasks(web, wanted=True) if task.state is TaskState.PENDING]
    assert [task.status.err for task in waiting] == ["no suitable node (insufficient resources on 1 node)"]
    swarm.submit(DescribeNode(ONE, node.description))
    swarm.advance(10)
    assert sorted(given_to(swarm, web)) == [["a", 1], ["b", 1]]
    swarm.check()
