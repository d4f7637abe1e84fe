"""Addresses: of services, of tasks, of nodes; one after another, and free again when they are (FACTS, chapter 9)."""

from collections.abc import Sequence

import pytest
import skep
from msgspec.structs import replace
from skep.core.addresses import Addresses
from skep.core.commands import CreateNetwork, RemoveNetwork, RemoveNode, RemoveService
from skep.core.events import ServiceAllocated, TasksAllocated, TasksHeld
from skep.core.plan.allocator.ports import ports_for
from skep.model.ids import NetworkId, NodeId, ServiceId
from skep.model.network import Ipam, IpamConfig
from skep.model.service import EndpointSpec, NetworkAttachment, PortConfig, ReplicatedMode, ServiceMode, ServiceSpec
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.beginning import INGRESS
from skep.testing.core_swarm import CoreSwarm


def a_swarm(*networks: str, nodes: int = 1) -> CoreSwarm:
    swarm = CoreSwarm(nodes=nodes, ingress=True)
    for name in networks:
        swarm.submit(CreateNetwork(NetworkId(name), skep.network_spec(name)))
        swarm.settle()
    swarm.settle()
    return swarm


def small(swarm: CoreSwarm, name: str, subnet: str) -> None:
    """Make a network of few addresses: of a /29 five, of a /28 thirteen."""
    spec = replace(skep.network_spec(name), ipam=Ipam(configs=(IpamConfig(subnet=subnet),)))
    swarm.submit(CreateNetwork(NetworkId(name), spec))
    swarm.settle()


def on(
    name: str, networks: Sequence[str], ports: Sequence[PortConfig] = (), *, replicas: int = 1, mode: str = "vip"
) -> ServiceSpec:
    spec = skep.service_spec(name, "demo", networks=networks, replicas=replicas)
    return replace(spec, endpoint_spec=EndpointSpec(mode=mode, ports=tuple(ports)))


def begun(swarm: CoreSwarm, spec: ServiceSpec) -> ServiceId:
    service_id = swarm.create(spec)
    swarm.quiet()
    return service_id


def updated(swarm: CoreSwarm, service_id: ServiceId, spec: ServiceSpec) -> None:
    swarm.update(service_id, replace(spec, mode=swarm.service(service_id).spec.mode))
    swarm.quiet()


def vips(swarm: CoreSwarm, service_id: ServiceId) -> list[str]:
    endpoint = swarm.service(service_id).endpoint
    return [vip.addr.partition("/")[0] for vip in endpoint.virtual_ips] if endpoint else []


def newest(swarm: CoreSwarm, service_id: ServiceId, count: int = 1) -> list[list[str]]:
    """Return the addresses of the newest tasks of a service, the oldest of them first."""
    tasks = swarm.tasks(service_id)[-count:]
    return [[a.addr.partition("/")[0] for a in swarm.state.given[task.id].addresses] for task in tasks]


def port(target: int, published: int = 0) -> PortConfig:
    return PortConfig(target_port=target, published_port=published)


def owners(swarm: CoreSwarm, network: str) -> list[str]:
    return [*swarm.state.addresses.get(NetworkId(network), {}).values()]


def attached(swarm: CoreSwarm, node: str = "node-1") -> list[str]:
    return [given.addr.partition("/")[0] for given in swarm.state.nodes[NodeId(node)].attachments]


# --- in which order


def test_the_sequence_of_scenario_25() -> None:
    """Step by step what a real swarm of one node gave out; the steps are those of the recording."""
    swarm = a_swarm("a1", "a2", "a3")
    s1 = begun(swarm, on("s1", ["a1"], replicas=2))
    assert vips(swarm, s1) == ["10.0.1.2"]
    assert newest(swarm, s1, 2) == [["10.0.1.3"], ["10.0.1.4"]]
    assert attached(swarm) == ["10.0.0.2", "10.0.1.5"]
    s2 = begun(swarm, on("s2", ["a1"], mode="dnsrr"))
    assert (swarm.service(s2).endpoint, newest(swarm, s2)) == (None, [["10.0.1.6"]])
    s3 = begun(swarm, on("s3", ["a1", "a2"], [port(80), port(81)]))
    s4 = begun(swarm, on("s4", [], [port(82)]))
    assert vips(swarm, s3) == ["10.0.0.3", "10.0.1.7", "10.0.2.2"]
    assert newest(swarm, s3) == [["10.0.0.4", "10.0.1.8", "10.0.2.3"]]
    assert (vips(swarm, s4), newest(swarm, s4)) == (["10.0.0.5"], [["10.0.0.6"]])
    swarm.submit(RemoveService(s1))
    swarm.advance(4)
    s5 = begun(swarm, on("s5", ["a1"]))
    assert (vips(swarm, s5), newest(swarm, s5)) == (["10.0.1.9"], [["10.0.1.10"]])
    swarm.scale(s5, 3)
    swarm.quiet()
    assert newest(swarm, s5, 2) == [["10.0.1.11"], ["10.0.1.12"]]
    task = swarm.service(s5).spec.template
    swarm.update(s5, replace(swarm.service(s5).spec, task_template=replace(task, force_update=1)))
    swarm.advance(60)
    assert newest(swarm, s5, 3) == [["10.0.1.13"], ["10.0.1.14"], ["10.0.1.15"]]
    updated(swarm, s3, on("s3", ["a1", "a2"], [port(81)]))
    assert newest(swarm, s3) == [["10.0.0.7", "10.0.1.16", "10.0.2.5"]]
    assert vips(swarm, s3) == ["10.0.0.3", "10.0.1.7", "10.0.2.2"]
    updated(swarm, s4, on("s4", [], [port(82), port(99, 30_000)]))
    assert (vips(swarm, s4), newest(swarm, s4)) == (["10.0.0.5"], [["10.0.0.8"]])
    s6 = begun(swarm, on("s6", [], [port(90)], replicas=0))
    assert vips(swarm, s6) == ["10.0.0.9"]
    updated(swarm, s3, on("s3", ["a1", "a2"]))
    assert (vips(swarm, s3), newest(swarm, s3)) == (["10.0.1.7", "10.0.2.2"], [["10.0.1.17", "10.0.2.6"]])
    updated(swarm, s3, on("s3", ["a1", "a2"], [port(80, 8080), PortConfig("", "udp", 81, 8081)]))
    assert vips(swarm, s3) == ["10.0.1.7", "10.0.2.2", "10.0.0.10"]
    assert newest(swarm, s3) == [["10.0.0.11", "10.0.1.18", "10.0.2.7"]]
    # the recording's updater was in the middle of the first of three tasks when the mode was changed back
    swarm.stuck.update(dict.fromkeys(task.id for task in swarm.tasks(s5)))
    updated(swarm, s5, replace(swarm.service(s5).spec, endpoint_spec=EndpointSpec(mode="dnsrr")))
    assert (vips(swarm, s5), newest(swarm, s5)) == ([], [["10.0.1.19"]])
    updated(swarm, s5, replace(swarm.service(s5).spec, endpoint_spec=EndpointSpec(mode="vip")))
    assert vips(swarm, s5) == ["10.0.1.20"]
    swarm.stuck.clear()
    swarm.check()
    for service in (s2, s3, s4, s5, s6):
        swarm.submit(RemoveService(service))
    swarm.advance(30)
    for name in ("a1", "a2", "a3"):
        swarm.submit(RemoveNetwork(NetworkId(name)))
    swarm.settle()
    assert swarm.state.addresses == {INGRESS: {10 << 24 | 2: "node-1"}}
    assert not swarm.state.given
    swarm.check()


def test_a_network_that_is_named_twice_costs_two_addresses() -> None:
    """Recorded in scenario 15."""
    swarm = a_swarm("n1")
    service = begun(swarm, on("x28", ["n1", "n1"]))
    assert vips(swarm, service) == ["10.0.1.2", "10.0.1.3"]
    swarm.check()


def test_addresses_are_not_used_again_before_the_range_is_used_up() -> None:
    swarm = a_swarm()
    small(swarm, "n", "10.9.0.0/28")
    first = begun(swarm, on("a", ["n"]))
    assert (vips(swarm, first), newest(swarm, first), attached(swarm)[1:]) == (
        ["10.9.0.2"],
        [["10.9.0.3"]],
        ["10.9.0.4"],
    )
    for number in range(4):
        swarm.submit(RemoveService(first))
        swarm.advance(30)
        first = begun(swarm, on(f"b{number}", ["n"]))
    # 2-4, 5-7, 8-10, 11-13, then 14, and from the first on again
    assert (vips(swarm, first), newest(swarm, first), attached(swarm)[1:]) == (
        ["10.9.0.14"],
        [["10.9.0.2"]],
        ["10.9.0.3"],
    )
    swarm.check()


# --- tasks


def test_a_task_has_its_addresses_before_it_is_scheduled() -> None:
    swarm = a_swarm("n", nodes=0)
    service = swarm.create(on("web", ["n"], [port(80)]))
    swarm.settle()
    (task,) = swarm.tasks(service)
    assert (task.state, newest(swarm, service)) == (TaskState.PENDING, [["10.0.0.3", "10.0.1.3"]])
    swarm.check()


def test_a_task_that_ended_is_shown_with_its_addresses_and_holds_them_no_more() -> None:
    swarm = a_swarm("n")
    service = begun(swarm, on("web", ["n"]))
    (task,) = swarm.tasks(service)
    swarm.report(task, TaskState.FAILED)
    assert task.id in owners(swarm, "n"), "it is still wanted"
    swarm.settle()
    assert task.id not in owners(swarm, "n")
    assert newest(swarm, service, 2) == [["10.0.1.3"], ["10.0.1.5"]]
    swarm.check()


def test_tasks_of_services_without_networks_are_not_allocated() -> None:
    swarm = a_swarm("n")
    begun(swarm, on("web", []))
    assert not swarm.events(ServiceAllocated, TasksAllocated)
    swarm.check()


def test_ports_of_the_host_are_carried_along_and_cost_no_address() -> None:
    swarm = a_swarm()
    host = PortConfig(target_port=80, published_port=9040, publish_mode="host", protocol="tcp")
    service = begun(swarm, on("web", []))
    asked = replace(swarm.service(service), spec=on("web", [], [host, replace(host, published_port=0)]))
    assert ports_for(swarm.state, asked) == (host, replace(host, published_port=0))
    assert not swarm.state.ports


# --- nodes


def test_the_first_task_of_a_network_on_a_node_costs_an_address_for_the_node() -> None:
    swarm = a_swarm("n", nodes=2)
    service = begun(swarm, on("web", ["n"], replicas=4))
    assert sorted(attached(swarm, "node-1") + attached(swarm, "node-2")) == [
        "10.0.0.2",
        "10.0.0.3",
        "10.0.1.7",
        "10.0.1.8",
    ]
    swarm.scale(service, 8)
    swarm.quiet()
    assert len(attached(swarm, "node-1")) == 2
    swarm.check()


def test_the_address_of_a_node_is_free_when_its_last_task_there_ended() -> None:
    swarm = a_swarm("n", nodes=2)
    begun(swarm, on("web", ["n"], replicas=2))
    swarm.avail("node-1", Availability.DRAIN)
    swarm.advance(60)
    assert attached(swarm, "node-1") == ["10.0.0.2"]
    assert len(attached(swarm, "node-2")) == 2
    swarm.check()


def test_a_node_that_is_removed_frees_its_addresses() -> None:
    swarm = a_swarm("n", nodes=2)
    begun(swarm, on("web", ["n"], replicas=2))
    swarm.observe("node-1", NodeState.DOWN)
    swarm.submit(RemoveNode(NodeId("node-1")))
    swarm.advance(60)
    assert "node-1" not in owners(swarm, "n") + owners(swarm, INGRESS)
    swarm.check()


# --- what cannot be had


def test_a_task_for_which_no_address_is_left_says_so_and_has_one_when_one_is_free() -> None:
    swarm = a_swarm()
    small(swarm, "n", "10.9.0.0/29")
    # five addresses: its own, one of the node, three of tasks
    service = begun(swarm, on("web", ["n"], replicas=3))
    assert (swarm.running(service), len(owners(swarm, "n"))) == (3, 5)
    swarm.scale(service, 5)
    swarm.quiet()
    waiting = [task for task in swarm.tasks(service) if task.state is TaskState.NEW]
    assert [task.status.err for task in waiting] == ["no address left on network n"] * 2
    assert swarm.state.unallocated == {service: None}
    told = len(swarm.events(TasksHeld))
    swarm.advance(600)
    assert len(swarm.events(TasksHeld)) == told, "nothing is written while nothing changes"
    assert swarm.wakes.next_at() is None, "nobody looks again by time"
    swarm.check()
    first = next(task for task in swarm.tasks(service) if task.state is TaskState.RUNNING)
    swarm.report(first, TaskState.FAILED)
    swarm.advance(60)
    # one of those that wait has what was freed; the one that replaces the failed one waits now
    assert swarm.running(service) == 3
    assert sum(task.state is TaskState.NEW for task in swarm.tasks(service)) == 2
    swarm.check()
    swarm.scale(service, 3)
    swarm.advance(60)
    assert swarm.running(service) == 3
    assert not swarm.state.unallocated
    swarm.check()


def test_a_service_for_which_no_address_is_left_waits_with_all_of_its_tasks() -> None:
    swarm = a_swarm()
    small(swarm, "n", "10.9.0.0/30")
    first = begun(swarm, on("first", ["n"], replicas=0))
    second = begun(swarm, on("second", ["n"], replicas=0))
    assert (vips(swarm, first), vips(swarm, second)) == (["10.9.0.2"], [])
    swarm.scale(second, 1)
    swarm.quiet()
    (task,) = swarm.tasks(second)
    assert (task.state, task.status.err) == (TaskState.NEW, "no address left on network n")
    swarm.check()
    swarm.submit(RemoveService(first))
    swarm.advance(30)
    assert vips(swarm, second) == ["10.9.0.2"]
    swarm.check()


def test_a_reason_that_still_holds_stays_until_something_is_freed() -> None:
    """What is used up wakes nobody; what is freed tells the reason that is left."""
    swarm = a_swarm()
    small(swarm, "n1", "10.32.0.0/29")
    small(swarm, "n2", "10.32.1.0/29")
    second = begun(swarm, on("second", ["n2"], replicas=3))
    both = begun(swarm, on("both", ["n1", "n2"]))
    assert [task.status.err for task in swarm.tasks(both)] == ["no address left on network n2"]
    begun(swarm, on("first", ["n1"], replicas=9))
    assert [task.status.err for task in swarm.tasks(both)] == ["no address left on network n2"]
    swarm.check()
    swarm.submit(RemoveService(second))
    swarm.advance(10)
    assert [task.status.err for task in swarm.tasks(both)] == ["no address left on network n1"]
    swarm.check()


def test_a_service_that_waits_for_a_port_has_it_when_one_is_free() -> None:
    swarm = a_swarm()
    # 10.0.0.0/24 has too few addresses for so many VIPs: a service of many ports has one
    many = on("many", [], [port(80)] * 2768, replicas=0)
    first = begun(swarm, many)
    second = begun(swarm, on("second", [], [port(80)]))
    (task,) = swarm.tasks(second)
    assert task.status.err == "no port left to publish between 30000 and 32767"
    swarm.submit(RemoveService(first))
    swarm.advance(1)
    assert swarm.running(second) == 1
    swarm.check()


def test_a_node_without_an_address_has_one_when_one_is_free() -> None:
    swarm = a_swarm()
    small(swarm, "n", "10.9.0.0/29")
    service = begun(swarm, on("web", ["n"], replicas=4))
    assert attached(swarm) == ["10.0.0.2"]
    assert [*swarm.state.detached] == ["node-1"]
    swarm.check()
    swarm.scale(service, 3)
    swarm.advance(30)
    assert len(attached(swarm)) == 2
    swarm.check()


# --- what it costs


@pytest.mark.parametrize("tasks", [5_000])
def test_addresses_are_found_without_a_look_at_those_that_are_held(tasks: int) -> None:
    swarm = a_swarm(nodes=0)
    small(swarm, "n", "10.32.0.0/16")
    service = swarm.create(on("web", ["n"], replicas=tasks))
    swarm.settle()
    assert len(owners(swarm, "n")) == tasks + 1
    addresses, looks = Addresses(swarm.state), Looks()
    looks.update(swarm.state.addresses[NetworkId("n")])
    addresses._range(NetworkId("n")).held = looks
    for _ in range(100):
        addresses.draw(NetworkId("n"))
    assert looks.count <= 101
    assert swarm.service(service).spec.mode == ServiceMode(replicated=ReplicatedMode(tasks))


class Looks(dict[int, str]):
    """Addresses that are held; how often somebody asked."""

    count = 0

    def __contains__(self, number: object) -> bool:
        self.count += 1
        return super().__contains__(number)


def test_networks_can_be_given_on_the_service_too() -> None:
    """As clients wrote them before API 1.25."""
    swarm = a_swarm("n")
    spec = replace(skep.service_spec("web", "demo"), networks=(NetworkAttachment(target="n"),))
    service = begun(swarm, spec)
    assert (vips(swarm, service), newest(swarm, service)) == (["10.0.1.2"], [["10.0.1.3"]])
    swarm.check()
