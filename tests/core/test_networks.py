"""Networks: which are made, what they are given, and when they may go (scenarios 15, 16 and 25; FACTS, chapter 9)."""

import pytest
import skep
from msgspec.structs import replace
from skep.core.commands import CreateNetwork, CreateService, RemoveNetwork, RemoveService
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.container import Driver
from skep.model.ids import NetworkId, NodeId, ServiceId
from skep.model.network import VNI_OPTION, Ipam, IpamConfig, NetworkSpec
from skep.model.service import PortConfig
from skep.model.states import TaskState
from skep.testing.beginning import INGRESS, begin_swarm
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def a_network(swarm: CoreSwarm, name: str, *configs: IpamConfig, **said: object) -> NetworkId:
    spec = replace(skep.network_spec(name), **said)
    if configs:
        spec = replace(spec, ipam=Ipam(driver=Driver("default"), configs=configs))
    network_id = NetworkId(f"{name}-id")
    swarm.submit(CreateNetwork(network_id, spec))
    swarm.settle()
    return network_id


def subnets(swarm: CoreSwarm, *names: str) -> list[str]:
    return [config.subnet for name in names for config in swarm.state.networks[NetworkId(f"{name}-id")].ranges]


def vnis(swarm: CoreSwarm, name: str) -> tuple[int, ...]:
    return swarm.state.networks[NetworkId(f"{name}-id")].vnis


def remove(swarm: CoreSwarm, *names: str) -> None:
    for name in names:
        swarm.submit(RemoveNetwork(NetworkId(f"{name}-id")))
    swarm.settle()


def refused(spec: NetworkSpec, swarm: CoreSwarm | None = None) -> tuple[str, Code, bool]:
    swarm = swarm or CoreSwarm(ingress=True)
    with raising(Rejected) as caught:
        swarm.submit(CreateNetwork(NetworkId("another"), spec))
    assert isinstance(caught.error, Rejected)
    return str(caught.error), caught.error.code, caught.error.bare


# --- what is made


def test_a_swarm_begins_with_the_network_of_its_published_ports() -> None:
    swarm = CoreSwarm(nodes=1, ingress=True)
    swarm.settle()
    network = swarm.state.networks[INGRESS]
    assert network.spec == NetworkSpec(
        name="ingress", labels={}, driver=Driver(), ingress=True, ipam=Ipam(driver=Driver())
    )
    assert network.vnis == (4096,)
    assert network.ranges == (IpamConfig(subnet="10.0.0.0/24", gateway="10.0.0.1"),)
    assert [a.addr for a in swarm.state.nodes[NodeId("node-1")].attachments] == ["10.0.0.2/24"]
    swarm.check()


def test_a_swarm_that_was_begun_without_it_has_none() -> None:
    swarm = CoreSwarm()
    swarm.create(skep.service_spec("web", "demo", ports=[PortConfig(target_port=80)]))
    swarm.quiet()
    assert [one.spec.name for one in swarm.state.networks.values()] == ["bridge", "host"]
    swarm.check()


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("bogus", "invalid CIDR address: bogus"),
        ("10.0.0.0/25", "subnets of 24 bits cannot be cut from 10.0.0.0/25"),
    ],
)
def test_pools_must_hold_subnets(pool: str, words: str) -> None:
    with raising(Rejected) as caught:
        pooled(pool, size=24)
    assert str(caught) == words


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        (skep.network_spec("ingress"), ("network with name ingress already exists", Code.ALREADY_EXISTS, True)),
        (skep.network_spec("bridge"), ("network with name bridge already exists", Code.ALREADY_EXISTS, True)),
        (skep.network_spec(""), ("network with name  already exists", Code.ALREADY_EXISTS, True)),
        (skep.network_spec("bad name"), ("name must be valid as a DNS name component", Code.INVALID_ARGUMENT, False)),
        (skep.network_spec("-bad"), ("name must be valid as a DNS name component", Code.INVALID_ARGUMENT, False)),
        (
            skep.network_spec("n9", subnets=["bogus"]),
            ("Invalid subnet bogus : invalid CIDR address: bogus", Code.UNKNOWN, True),
        ),
        (
            replace(skep.network_spec("n16"), ipam=Ipam(driver=Driver("bogus"))),
            ("error during lookup of plugin bogus", Code.INVALID_ARGUMENT, False),
        ),
        (
            replace(skep.network_spec("n18"), driver=Driver("bogusdriver")),
            ('plugin "bogusdriver" not found', Code.NOT_FOUND, True),
        ),
        (
            replace(skep.network_spec("ing2"), ingress=True),
            (f"ingress network ({INGRESS}) is already present", Code.ALREADY_EXISTS, False),
        ),
        (
            replace(skep.network_spec("ing3"), ingress=True, attachable=True),
            ("ingress network cannot be attachable", Code.INVALID_ARGUMENT, False),
        ),
    ],
)
def test_what_cannot_be_is_refused_in_swarms_words(spec: NetworkSpec, answer: tuple[str, Code, bool]) -> None:
    assert refused(spec) == answer


# --- what it is given


def test_subnets_and_ids_are_given_in_turn_and_not_again_at_once() -> None:
    """As recorded in scenario 25."""
    swarm = CoreSwarm(ingress=True)
    for name in ("a1", "a2", "a3"):
        a_network(swarm, name)
    assert subnets(swarm, "a1", "a2", "a3") == ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]
    remove(swarm, "a1", "a2", "a3")
    a_network(swarm, "b1")
    a_network(swarm, "b2", IpamConfig(subnet="10.0.3.0/24"))
    a_network(swarm, "b3")
    a_network(swarm, "b4")
    assert subnets(swarm, "b1", "b2", "b3", "b4") == ["10.0.4.0/24", "10.0.3.0/24", "10.0.5.0/24", "10.0.6.0/24"]
    assert [*vnis(swarm, "b1"), *vnis(swarm, "b2"), *vnis(swarm, "b3")] == [4100, 4101, 4102]
    swarm.check()


def test_a_subnet_that_somebody_asked_for_is_passed_over() -> None:
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "asked", IpamConfig(subnet="10.0.1.128/25"))
    a_network(swarm, "wide", IpamConfig(subnet="10.0.2.0/23"))
    a_network(swarm, "given")
    assert subnets(swarm, "given") == ["10.0.4.0/24"]
    swarm.check()


def test_the_swarm_says_where_its_subnets_come_from_and_how_large_they_are() -> None:
    swarm = pooled("192.168.0.0/30", "172.16.0.0/29", size=30)
    assert swarm.state.networks[INGRESS].ranges[0].subnet == "192.168.0.0/30"
    for name in ("a", "b", "c"):
        a_network(swarm, name)
    assert subnets(swarm, "a", "b", "c") == ["172.16.0.0/30", "172.16.0.4/30"]
    remove(swarm, "a")
    assert subnets(swarm, "c") == ["172.16.0.0/30"], "what waits for a subnet has it when one is free"
    swarm.check()


def pooled(*pools: str, size: int) -> CoreSwarm:
    """Return a swarm with these pools, and no nodes."""
    swarm = CoreSwarm(state=ClusterState())
    swarm.submit(replace(begin_swarm(ingress=True), default_addr_pool=pools, subnet_size=size))
    swarm.settle()
    return swarm


def test_what_overlaps_waits_until_the_other_is_removed() -> None:
    """As recorded in scenario 16: n7 lay within n5, and had nothing until that was pruned."""
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "n5", IpamConfig(subnet="10.77.0.0/16"))
    a_network(swarm, "n7", IpamConfig(subnet="10.77.5.0/24"))
    assert subnets(swarm, "n7") == []
    service = swarm.create(skep.service_spec("web", "demo", networks=["n7"]))
    swarm.quiet()
    (task,) = swarm.tasks(service)
    assert (task.state, task.status.err) == (TaskState.NEW, "network n7 has no subnet yet")
    remove(swarm, "n5")
    swarm.quiet()
    assert subnets(swarm, "n7") == ["10.77.5.0/24"]
    assert swarm.running(service) == 1
    swarm.check()


def test_gateways_are_as_asked_or_the_first_address_and_nobody_elses() -> None:
    swarm = CoreSwarm(nodes=1)
    first = IpamConfig(subnet="10.5.0.0/16", gateway="10.5.0.1", ip_range="10.5.1.0/24")
    second = IpamConfig(subnet="10.6.0.0/16", ip_range="10.6.1.0/24")
    a_network(swarm, "n2", first)
    a_network(swarm, "n3", second)
    assert swarm.state.networks[NetworkId("n3-id")].ranges[0].gateway == "10.6.1.0"
    service = swarm.create(skep.service_spec("web", "demo", networks=["n2", "n3"]))
    swarm.quiet()
    endpoint = swarm.service(service).endpoint
    assert endpoint is not None
    # a range within a subnet is used from its first address on (recorded in scenario 15)
    assert [vip.addr for vip in endpoint.virtual_ips] == ["10.5.1.0/16", "10.6.1.1/16"]
    swarm.check()


def test_a_network_of_several_subnets_has_as_many_ids() -> None:
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "n8", IpamConfig(subnet="10.79.0.0/24"), IpamConfig(subnet="10.80.0.0/24"))
    assert vnis(swarm, "n8") == (4097, 4098)
    swarm.check()


def test_an_id_may_be_asked_for() -> None:
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "n15", driver=Driver("overlay", {VNI_OPTION: "7000"}))
    a_network(swarm, "n16", driver=Driver("overlay", {VNI_OPTION: "7000"}))
    a_network(swarm, "n17")
    assert [vnis(swarm, "n15"), vnis(swarm, "n16"), vnis(swarm, "n17")] == [(7000,), (), (4097,)]
    swarm.check()


def test_a_network_of_version_six_gives_its_addresses_too() -> None:
    swarm = CoreSwarm(nodes=1)
    a_network(swarm, "n21", IpamConfig(subnet="fd00:1::/64"), ipv6=True)
    service = swarm.create(skep.service_spec("web", "demo", networks=["n21"]))
    swarm.quiet()
    endpoint = swarm.service(service).endpoint
    assert endpoint is not None
    assert [vip.addr for vip in endpoint.virtual_ips] == ["fd00:1::2/64"]
    assert swarm.running(service) == 1
    swarm.check()


@pytest.mark.parametrize(
    "config",
    [
        IpamConfig(subnet="10.81.0.0/24", gateway="10.99.0.1"),
        IpamConfig(subnet="10.81.0.0/32"),
        IpamConfig(subnet="10.0.0.0/8"),
    ],
)
def test_what_cannot_be_given_is_kept_without_addresses(config: IpamConfig) -> None:
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "n", config)
    assert subnets(swarm, "n") == []
    swarm.check()


def test_a_network_of_each_node_has_no_addresses_and_holds_nobody_up() -> None:
    swarm = CoreSwarm(ingress=True)
    a_network(swarm, "sb1", driver=Driver("bridge"))
    service = swarm.create(skep.service_spec("web", "demo", networks=["sb1"]))
    swarm.quiet()
    endpoint = swarm.service(service).endpoint
    assert endpoint is not None
    assert [(vip.network_id, vip.addr) for vip in endpoint.virtual_ips] == [("sb1-id", "")]
    assert swarm.running(service) == 1
    swarm.check()


# --- who uses it, and when it goes


def test_a_service_names_its_networks_by_name_or_id_and_is_kept_with_ids() -> None:
    swarm = CoreSwarm()
    a_network(swarm, "n1")
    for number, target in enumerate(("n1", "n1-id")):
        service = swarm.create(skep.service_spec(f"web{number}", "demo", networks=[target]))
        assert [one.target for one in swarm.service(service).spec.template.networks] == ["n1-id"]


def test_a_service_cannot_join_what_is_not_there_nor_the_ingress_network() -> None:
    swarm = CoreSwarm(ingress=True)
    for target, words in (
        ("nope", "network nope not found"),
        ("ingress", 'Service cannot be explicitly attached to the ingress network "ingress"'),
    ):
        with raising(Rejected) as caught:
            swarm.submit(CreateService(ServiceId("s"), skep.service_spec("web", "demo", networks=[target])))
        assert str(caught) == words


def test_a_network_is_kept_while_a_service_uses_it_and_may_go_while_tasks_are_stopping() -> None:
    swarm = CoreSwarm(ingress=True)
    network_id = a_network(swarm, "n1")
    service = swarm.create(skep.service_spec("web", "demo", networks=["n1"]))
    swarm.quiet()
    with raising(Rejected) as caught:
        remove(swarm, "n1")
    assert str(caught) == f"network {network_id} is in use by service {service}"
    swarm.submit(RemoveService(service))
    swarm.settle()
    assert swarm.running(service) == 1
    remove(swarm, "n1")
    swarm.check()
    swarm.advance(30)
    assert [a.network_id for node in swarm.state.nodes.values() for a in node.attachments] == [INGRESS] * 2
    swarm.check()


def test_of_several_services_on_a_network_the_one_with_the_lowest_id_is_named() -> None:
    """As in SwarmKit, which finds them by the network and then by their ids."""
    swarm = CoreSwarm(ingress=True)
    network_id = a_network(swarm, "n1")
    for service_id in ("b", "a", "c"):
        swarm.submit(CreateService(ServiceId(service_id), skep.service_spec(service_id, "demo", networks=["n1"])))
    with raising(Rejected) as caught:
        remove(swarm, "n1")
    assert str(caught) == f"network {network_id} is in use by service a"


def test_a_network_is_kept_while_a_task_that_an_update_did_not_reach_yet_is_on_it() -> None:
    """As in SwarmKit: a task that is wanted running, of whatever template, uses its networks."""
    swarm = CoreSwarm(nodes=2, ingress=True)
    network = a_network(swarm, "old")
    web = swarm.create(skep.service_spec("web", "demo", networks=["old"], replicas=2))
    swarm.quiet()
    swarm.update(web, skep.service_spec("web", "demo", replicas=2))
    with raising(Rejected) as caught:
        swarm.submit(RemoveNetwork(network))
    assert isinstance(caught.error, Rejected)
    assert str(caught.error) == f"network {network} is in use by task {swarm.tasks(web)[0].id}"
    assert caught.error.code is Code.FAILED_PRECONDITION
    swarm.advance(60)
    remove(swarm, "old")
    assert network not in swarm.state.addresses
    swarm.check()


def test_without_an_ingress_network_no_port_is_published() -> None:
    swarm = CoreSwarm(ingress=True)
    spec = skep.service_spec("noing", "demo", ports=[PortConfig(target_port=80, published_port=9999)])
    service = swarm.create(spec)
    swarm.quiet()
    with raising(Rejected) as caught:
        swarm.submit(RemoveNetwork(INGRESS))
    assert str(caught) == f"ingress network cannot be removed because service {service} depends on it"
    swarm.submit(RemoveService(service))
    swarm.advance(30)
    swarm.submit(RemoveNetwork(INGRESS))
    swarm.settle()
    assert [node.attachments for node in swarm.state.nodes.values()] == [(), ()]
    with raising(Rejected) as caught:
        swarm.submit(CreateService(ServiceId("s"), spec))
    assert str(caught) == "service needs ingress network, but no ingress network is present"
    mine = a_network(swarm, "mine", IpamConfig(subnet="10.11.0.0/16", gateway="10.11.0.2"), ingress=True)
    assert [a.network_id for node in swarm.state.nodes.values() for a in node.attachments] == [mine] * 2
    again = swarm.create(spec)
    swarm.quiet()
    endpoint = swarm.service(again).endpoint
    assert endpoint is not None
    assert [(vip.network_id, vip.addr) for vip in endpoint.virtual_ips] == [(mine, "10.11.0.4/16")]
    swarm.check()
