"""Which nodes a task may go to, in which words it waits, and until when (SwarmKit's filters; FACTS, chapter 3)."""

import pytest
from msgspec.structs import replace
from skep.core.commands import Command, DescribeNode, ObserveNodes, RemoveNode
from skep.model.build import service_spec
from skep.model.container import Driver, Mount, VolumeOptions
from skep.model.ids import NodeId, ServiceId
from skep.model.node import EngineDescription, EnginePlugin
from skep.model.service import (
    DiscreteResource,
    EndpointSpec,
    GenericResource,
    NamedResource,
    Placement,
    Platform,
    PortConfig,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceSpec,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.beginning import join_node
from skep.testing.core_swarm import CoreSwarm

LOGS = (EnginePlugin("Log", "json-file"),)
NO_RESTART = RestartPolicy(condition="none")


def swarm_of(*joins: Command) -> CoreSwarm:
    swarm = CoreSwarm(nodes=0)
    for join in joins:
        swarm.submit(join)
    swarm.submit(ObserveNodes(tuple(swarm.state.nodes), NodeState.READY))
    return swarm


def discrete(kind: str, amount: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind, amount))


def named(kind: str, *names: str) -> tuple[GenericResource, ...]:
    return tuple(GenericResource(named_resource_spec=NamedResource(kind, name)) for name in names)


def having(cpus: int, chunks: int, generic: tuple[GenericResource, ...] = ()) -> Reservations:
    """So many CPUs, and chunks of memory."""
    return Reservations(cpus * 10**9, chunks * 2**24, generic)


def reserving(name: str, replicas: int = 1, *, cpus: int = 0, memory: int = 0, generic: int = 0) -> ServiceSpec:
    spec = service_spec(name, "demo", replicas=replicas)
    resources = (discrete("gpu", generic),) if generic else ()
    required = ResourceRequirements(reservations=having(cpus, memory, resources))
    return replace(spec, task_template=replace(spec.template, resources=required, restart_policy=NO_RESTART))


def publishing(name: str, *ports: int, replicas: int = 1, protocol: str = "tcp") -> ServiceSpec:
    configs = tuple(
        PortConfig(protocol=protocol, target_port=80, published_port=port, publish_mode="host") for port in ports
    )
    spec = service_spec(name, "demo", replicas=replicas)
    spec = replace(spec, task_template=replace(spec.template, restart_policy=NO_RESTART))
    return replace(spec, endpoint_spec=EndpointSpec(ports=configs))


def nodes_of(swarm: CoreSwarm, service_id: ServiceId) -> list[str]:
    return sorted(t.node_id for t in swarm.tasks(service_id, wanted=True) if t.node_id)


def reasons(swarm: CoreSwarm, service_id: ServiceId) -> list[str]:
    return [t.status.err for t in swarm.tasks(service_id, wanted=True) if t.state is TaskState.PENDING]


def placed(swarm: CoreSwarm, spec: ServiceSpec) -> ServiceId:
    service_id = swarm.create(spec)
    swarm.quiet()
    return service_id


# --- resources


@pytest.mark.parametrize("what", [{"cpus": 2}, {"memory": 2}, {"generic": 2}])
def test_no_node_is_given_more_than_it_described(what: dict[str, int]) -> None:
    has = having(5, 5, (discrete("gpu", 5),))
    swarm = swarm_of(join_node("one", resources=has), join_node("two", resources=has))
    web = placed(swarm, reserving("web", 5, **what))
    assert nodes_of(swarm, web) == ["one", "one", "two", "two"]
    assert reasons(swarm, web) == ["no suitable node (insufficient resources on 2 nodes)"]
    swarm.check()


def test_a_node_that_describes_nothing_has_nothing_to_reserve() -> None:
    swarm = swarm_of(join_node("one"))
    web = placed(swarm, reserving("web", memory=1))
    assert reasons(swarm, web) == ["no suitable node (insufficient resources on 1 node)"]
    described = replace(swarm.state.nodes[NodeId("one")].description, resources=having(0, 1))
    swarm.submit(DescribeNode(NodeId("one"), described))
    swarm.quiet()
    assert nodes_of(swarm, web) == ["one"]
    swarm.check()


def test_tasks_of_all_services_share_what_a_node_has() -> None:
    swarm = swarm_of(join_node("one", resources=having(3, 0)))
    assert nodes_of(swarm, placed(swarm, reserving("first", cpus=2))) == ["one"]
    assert reasons(swarm, placed(swarm, reserving("second", cpus=2)))
    assert nodes_of(swarm, placed(swarm, reserving("third", cpus=1))) == ["one"]
    assert nodes_of(swarm, placed(swarm, service_spec("fourth", "demo"))) == ["one"]
    swarm.check()


@pytest.mark.parametrize("end", [TaskState.COMPLETE, TaskState.FAILED])
def test_a_task_that_ended_holds_nothing_though_it_is_wanted(end: TaskState) -> None:
    swarm = swarm_of(join_node("one", resources=having(1, 0)))
    first = placed(swarm, reserving("first", cpus=1))
    second = placed(swarm, reserving("second", cpus=1))
    assert reasons(swarm, second)
    swarm.report(swarm.tasks(first)[0], end)
    swarm.quiet()
    assert nodes_of(swarm, second) == ["one"]
    swarm.check()


def test_a_task_that_is_to_stop_holds_its_resources_until_it_has() -> None:
    swarm = swarm_of(join_node("one", resources=having(1, 0)))
    first = placed(swarm, reserving("first", cpus=1))
    (task,) = swarm.tasks(first)
    swarm.stuck[task.id] = None
    swarm.scale(first, 0)
    second = placed(swarm, reserving("second", cpus=1))
    assert reasons(swarm, second) == ["no suitable node (insufficient resources on 1 node)"]
    del swarm.stuck[task.id]
    swarm.quiet()
    assert nodes_of(swarm, second) == ["one"]
    swarm.check()


def test_a_task_that_is_to_stop_does_not_count_for_the_spread() -> None:
    swarm = swarm_of(join_node("one"), join_node("two"))
    web = placed(swarm, service_spec("web", "demo", replicas=2))
    for task in swarm.tasks(web):
        if task.node_id == "one":
            swarm.stuck[task.id] = None
    swarm.scale(web, 1)
    swarm.quiet()
    swarm.scale(web, 0)
    swarm.quiet()
    assert nodes_of(swarm, placed(swarm, service_spec("other", "demo"))) == ["one"]
    swarm.check()


def test_named_resources_are_given_by_name_and_come_back_when_the_task_stopped() -> None:
    swarm = swarm_of(join_node("one", resources=having(0, 0, named("gpu", "a", "b", "c"))))
    first = placed(swarm, reserving("first", generic=2))
    assert swarm.state.given[swarm.tasks(first)[0].id].resources == named("gpu", "a", "b")
    second = placed(swarm, reserving("second", generic=2))
    assert reasons(swarm, second) == ["no suitable node (insufficient resources on 1 node)"]
    third = placed(swarm, reserving("third", generic=1))
    assert swarm.state.given[swarm.tasks(third)[0].id].resources == named("gpu", "c")
    swarm.report(swarm.tasks(first)[0], TaskState.COMPLETE)
    swarm.quiet()
    assert swarm.state.given[swarm.tasks(second)[0].id].resources == named("gpu", "a", "b")
    swarm.check()


def test_what_was_given_of_an_amount_is_an_amount() -> None:
    swarm = swarm_of(join_node("one", resources=having(0, 0, (discrete("gpu", 3),))))
    web = placed(swarm, reserving("web", generic=2))
    assert swarm.state.given[swarm.tasks(web)[0].id].resources == (discrete("gpu", 2),)
    swarm.check()


# --- ports of the host


def test_a_port_of_the_host_is_held_by_one_task_of_a_node() -> None:
    swarm = swarm_of(join_node("one"), join_node("two"))
    web = placed(swarm, publishing("web", 80, replicas=3))
    assert nodes_of(swarm, web) == ["one", "two"]
    assert reasons(swarm, web) == ["no suitable node (host-mode port already in use on 2 nodes)"]
    assert reasons(swarm, placed(swarm, publishing("both", 79, 80)))
    assert nodes_of(swarm, placed(swarm, publishing("other", 81))) == ["one"]
    assert nodes_of(swarm, placed(swarm, publishing("udp", 80, protocol="udp"))) == ["two"]
    swarm.check()


def test_a_port_of_the_host_is_held_until_the_task_has_stopped() -> None:
    swarm = swarm_of(join_node("one"))
    first = placed(swarm, publishing("first", 80))
    (task,) = swarm.tasks(first)
    swarm.stuck[task.id] = None
    swarm.scale(first, 0)
    second = placed(swarm, publishing("second", 80))
    assert reasons(swarm, second) == ["no suitable node (host-mode port already in use on 1 node)"]
    del swarm.stuck[task.id]
    swarm.quiet()
    assert nodes_of(swarm, second) == ["one"]
    swarm.check()


def test_a_port_that_the_node_chooses_is_held_by_nobody() -> None:
    swarm = swarm_of(join_node("one"))
    assert nodes_of(swarm, placed(swarm, publishing("web", 0, replicas=2))) == ["one", "one"]


# --- plugins and platforms


def with_log(name: str) -> ServiceSpec:
    spec = service_spec("web", "demo")
    return replace(spec, task_template=replace(spec.template, log_driver=Driver(name=name)))


def with_volume(driver: str) -> ServiceSpec:
    spec = service_spec("web", "demo")
    mount = Mount(type="volume", target="/x", volume_options=VolumeOptions(driver_config=Driver(name=driver)))
    container = replace(spec.container, mounts=(mount,))
    return replace(spec, task_template=replace(spec.template, container_spec=container))


@pytest.mark.parametrize(
    ("spec", "plugins", "fits"),
    [
        (with_log("json-file"), LOGS, True),
        (with_log("syslog"), LOGS, False),
        (with_log("none"), LOGS, True),
        (with_log(""), LOGS, True),
        (with_log("syslog"), (), True),
        (with_log("custom"), (*LOGS, EnginePlugin("Log", "custom:latest")), True),
        (with_volume("nfs"), LOGS, False),
        (with_volume("nfs"), (), False),
        (with_volume("local"), (), True),
        (with_volume(""), (), True),
        (with_volume("nfs"), (EnginePlugin("Volume", "nfs:latest"),), True),
        (with_volume("nfs"), (EnginePlugin("Network", "nfs"),), False),
        (service_spec("web", "demo"), (), True),
    ],
)
def test_a_node_must_have_the_plugins_that_are_asked_for(
    spec: ServiceSpec, plugins: tuple[EnginePlugin, ...], *, fits: bool
) -> None:
    swarm = swarm_of(join_node("one", engine=EngineDescription(plugins=plugins)))
    web = placed(swarm, spec)
    assert reasons(swarm, web) == ([] if fits else ["no suitable node (missing plugin on 1 node)"])
    swarm.check()


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ((), True),
        ((Platform("amd64", "linux"),), True),
        ((Platform("x86_64", "linux"),), True),
        ((Platform("amd64", ""),), True),
        ((Platform("", "linux"),), True),
        ((Platform("", ""),), True),
        ((Platform("arm64", "linux"), Platform("amd64", "linux")), True),
        ((Platform("arm64", "linux"),), False),
        ((Platform("amd64", "windows"),), False),
    ],
)
def test_a_node_must_be_of_one_of_the_platforms(wanted: tuple[Platform, ...], *, fits: bool) -> None:
    swarm = swarm_of(join_node("one", platform=Platform("x86_64", "linux")))
    spec = service_spec("web", "demo")
    web = placed(swarm, replace(spec, task_template=replace(spec.template, placement=Placement(platforms=wanted))))
    assert reasons(swarm, web) == ([] if fits else ["no suitable node (unsupported platform on 1 node)"])
    swarm.check()


def test_two_names_of_one_architecture_are_one() -> None:
    swarm = swarm_of(join_node("one", platform=Platform("aarch64", "linux")))
    spec = service_spec("web", "demo")
    placement = Placement(platforms=(Platform("arm64", "linux"),))
    assert nodes_of(swarm, placed(swarm, replace(spec, task_template=replace(spec.template, placement=placement))))


def test_a_node_that_tells_no_platform_is_of_none() -> None:
    swarm = swarm_of(join_node("one"))
    spec = service_spec("web", "demo")
    placement = Placement(platforms=(Platform("", "linux"),))
    web = placed(swarm, replace(spec, task_template=replace(spec.template, placement=placement)))
    assert reasons(swarm, web) == ["no suitable node (unsupported platform on 1 node)"]


# --- the reason


def test_the_reason_names_the_filter_with_most_nodes_first_and_follows_what_changes() -> None:
    swarm = swarm_of(
        join_node("one", resources=having(1, 0)),
        join_node("two", resources=having(9, 0)),
        join_node("three", resources=having(9, 0)),
    )
    swarm.avail("one", Availability.PAUSE)
    spec = reserving("web", cpus=5)
    spec = replace(spec, task_template=replace(spec.template, placement=Placement(("node.labels.a == b",))))
    web = placed(swarm, spec)
    assert reasons(swarm, web) == [
        "no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)"
    ]
    placed(swarm, reserving("eater", 2, cpus=6))
    assert reasons(swarm, web) == [
        "no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)"
    ]
    swarm.avail("one", Availability.ACTIVE)
    swarm.quiet()
    assert reasons(swarm, web) == ["no suitable node (insufficient resources on 3 nodes)"]
    for name in ("two", "three"):
        swarm.observe(name, NodeState.DOWN)
    swarm.quiet()
    assert reasons(swarm, web) == [
        "no suitable node (2 nodes not available for new tasks; insufficient resources on 1 node)"
    ]
    swarm.submit(RemoveNode(NodeId("two"), force=True))
    swarm.quiet()
    assert reasons(swarm, web) == [
        "no suitable node (1 node not available for new tasks; insufficient resources on 1 node)"
    ]
    swarm.check()


def test_the_most_of_a_node_is_counted_anew_when_a_task_is_wanted_no_more() -> None:
    swarm = swarm_of(join_node("one"))
    spec = service_spec("web", "demo", replicas=2)
    placement = Placement(max_replicas=1)
    spec = replace(spec, task_template=replace(spec.template, placement=placement, restart_policy=NO_RESTART))
    web = placed(swarm, spec)
    assert reasons(swarm, web) == ["no suitable node (max replicas per node limit exceed)"]
    swarm.report(next(t for t in swarm.tasks(web) if t.node_id), TaskState.COMPLETE)
    swarm.quiet()
    assert reasons(swarm, web) == []
    swarm.check()


def test_an_unschedulable_task_goes_when_its_service_is_scaled_down() -> None:
    swarm = swarm_of(join_node("one", resources=having(1, 0)))
    web = placed(swarm, reserving("web", 2, cpus=1))
    assert len(reasons(swarm, web)) == 1
    swarm.scale(web, 1)
    swarm.quiet()
    assert (nodes_of(swarm, web), reasons(swarm, web)) == (["one"], [])
    swarm.check()
