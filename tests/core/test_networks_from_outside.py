"""What people may say of networks: however large, odd or greedy, no plan fails and none takes long."""

import pytest
import skep
from msgspec.structs import replace
from skep.core.commands import CreateNetwork, RemoveNetwork
from skep.core.plan.allocator import networks
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.core.subnets import Pools, Span, text_of
from skep.model.container import Driver
from skep.model.ids import NetworkId
from skep.model.network import VNI_OPTION, Ipam, IpamConfig
from skep.testing.beginning import begin_swarm
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def made(swarm: CoreSwarm, name: str, *configs: IpamConfig, vnis: str = "") -> NetworkId:
    driver = Driver("overlay", {VNI_OPTION: vnis} if vnis else {})
    spec = replace(skep.network_spec(name), driver=driver, ipam=Ipam(configs=configs) if configs else None)
    network_id = NetworkId(name)
    swarm.submit(CreateNetwork(network_id, spec))
    swarm.settle()
    return network_id


def subnet_of(swarm: CoreSwarm, name: str) -> str:
    return next((config.subnet for config in swarm.state.networks[NetworkId(name)].ranges), "")


def remove(swarm: CoreSwarm, name: str) -> None:
    swarm.submit(RemoveNetwork(NetworkId(name)))
    swarm.settle()


def swarm_with_pools(*pools: str, size: int) -> CoreSwarm:
    """Return a swarm without nodes, and without an ingress network."""
    swarm = CoreSwarm(state=ClusterState())
    swarm.submit(replace(begin_swarm(), default_addr_pool=pools, subnet_size=size))
    return swarm


def test_an_id_of_very_many_digits_is_one_that_there_is_not() -> None:
    """Such a network waits as one does that asks for an id which is too large, and nothing fails of it."""
    swarm = CoreSwarm(nodes=1, ingress=True)
    for number, vnis in enumerate(("9" * 5000, "16777216", "4200," + "1" * 40)):
        network = made(swarm, f"n{number}", IpamConfig(), IpamConfig(), vnis=vnis)
        assert not swarm.state.networks[network].allocated
    assert swarm.state.networks[made(swarm, "fine", vnis="4200,no,-1")].vnis == (4200,)
    swarm.check()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            IpamConfig(subnet="10.128.0.0/255.255.255.0"),
            "Invalid subnet 10.128.0.0/255.255.255.0 : invalid CIDR address: 10.128.0.0/255.255.255.0",
        ),
        (
            IpamConfig(subnet="10.128.0.0/0.0.0.255"),
            "Invalid subnet 10.128.0.0/0.0.0.255 : invalid CIDR address: 10.128.0.0/0.0.0.255",
        ),
        (IpamConfig(subnet="fd00::%eth0/64"), "Invalid subnet fd00::%eth0/64 : invalid CIDR address: fd00::%eth0/64"),
        (
            IpamConfig(subnet="10.128.0.0/24", ip_range="10.128.0.0/255.255.255.128"),
            "Invalid IPRange 10.128.0.0/255.255.255.128 : invalid CIDR address: 10.128.0.0/255.255.255.128",
        ),
        (IpamConfig(subnet="fd00::/64", gateway="fd00::1%eth0"), "Invalid gateway fd00::1%eth0"),
    ],
)
def test_what_only_python_takes_for_an_address_is_refused(config: IpamConfig, words: str) -> None:
    swarm = CoreSwarm(nodes=1, ingress=True)
    with raising(Rejected) as caught:
        made(swarm, "odd", config)
    assert str(caught) == words


def test_a_large_subnet_that_is_taken_is_passed_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 65,536 places of the pool all but two are in large subnets: they are not looked at one by one."""
    swarm = CoreSwarm(nodes=1, ingress=True)
    for length in range(9, 24):
        made(swarm, f"n{length}", IpamConfig(subnet=f"{text_of(10 << 24 | 1 << 32 - length, length)}"))
    looks = 0
    look = networks._Taken.last_that_overlaps

    def counted(self: networks._Taken, span: Span) -> int | None:
        nonlocal looks
        looks += 1
        return look(self, span)

    monkeypatch.setattr(networks._Taken, "last_that_overlaps", counted)
    for name in ("a", "b"):
        made(swarm, name)
        assert subnet_of(swarm, name) == "10.0.1.0/24"
        remove(swarm, name)
    assert 15 < looks < 30
    swarm.check()


def test_pools_without_end_that_are_all_taken_hold_nobody_up() -> None:
    swarm = swarm_with_pools("fd00::/8", size=64)
    made(swarm, "all", IpamConfig(subnet="fd00::/8"))
    made(swarm, "waits")
    assert subnet_of(swarm, "waits") == ""
    remove(swarm, "all")
    assert subnet_of(swarm, "waits") == "fd00::/64"
    swarm.check()


def test_pools_that_are_used_up_keep_a_network_waiting_until_a_subnet_is_free() -> None:
    swarm = swarm_with_pools("192.168.0.0/30", "192.168.8.0/29", size=30)
    names = ["a", "b", "c", "d"]
    for name in names:
        made(swarm, name)
    assert [subnet_of(swarm, name) for name in names] == ["192.168.0.0/30", "192.168.8.0/30", "192.168.8.4/30", ""]
    made(swarm, "asks", IpamConfig(subnet="192.168.8.0/29"))
    remove(swarm, "b")
    assert [subnet_of(swarm, name) for name in ("d", "asks")] == ["192.168.8.0/30", ""]
    for name in ("c", "d"):
        remove(swarm, name)
    assert subnet_of(swarm, "asks") == "192.168.8.0/29"
    swarm.check()


@pytest.mark.parametrize(
    ("index", "last", "place"),
    [
        (0, "10.0.0.255", 1),
        (0, "10.0.3.255", 4),
        (2, "10.0.255.255", 4),
        (4, "192.168.0.255", 5),
        (5, "192.168.1.7", 6),
        (5, "255.255.255.255", 6),
    ],
)
def test_the_place_behind_an_address_is_in_its_pool_or_just_beyond(index: int, last: str, place: int) -> None:
    four_and_two = Pools(("10.0.0.0/22", "192.168.0.0/23"), 24)
    a, b, c, d = map(int, last.split("."))
    assert four_and_two.behind(index, a << 24 | b << 16 | c << 8 | d) == place
