"""Networks, with what dockerd looks into without asking whether it is there."""

from dataclasses import dataclass

import pytest
from msgspec import structs
from skep.model.container import Driver
from skep.model.ids import Instant, NetworkId, Position
from skep.model.network import INGRESS, Ipam, IpamConfig, Network, NetworkSpec
from skep_adapters.swarmkit.render_network import render_network
from skep_adapters.swarmkit.wire import types_pb2

VNIS = "com.docker.network.driver.overlay.vxlanid_list"

NET = Network(
    id=NetworkId("n" * 25),
    spec=NetworkSpec(
        name="back",
        labels={"a": "b"},
        driver=Driver("overlay", {"encrypted": ""}),
        ipv6=True,
        internal=True,
        attachable=True,
        ipam=Ipam(Driver("default", {"opt": "1"}), (IpamConfig("10.50.0.0/24"),)),
    ),
    version=Position(7),
    written=Position(7),
    created_at=Instant(1_000_000_001),
    updated_at=Instant(2),
    vnis=(4097, 4098),
    ranges=(
        IpamConfig("10.50.0.0/24", "10.50.0.128/25", "10.50.0.1"),
        IpamConfig("fd00::/64", "", "fd00::1"),
    ),
)


@dataclass
class Expected:
    driver: str
    ipam: str


def test_an_overlay_is_said_whole() -> None:
    network = render_network(NET)
    assert (network.id, network.meta.version.index) == ("n" * 25, 7)
    assert network.meta.created_at.ToNanoseconds() == 1_000_000_001
    spec = network.spec
    assert (spec.annotations.name, dict(spec.annotations.labels)) == ("back", {"a": "b"})
    assert (spec.ipv6_enabled, spec.internal, spec.attachable, spec.ingress) == (True, True, True, False)
    assert (spec.driver_config.name, dict(spec.driver_config.options)) == ("overlay", {"encrypted": ""})
    assert (spec.ipam.driver.name, spec.ipam.configs[0].subnet) == ("default", "10.50.0.0/24")


def test_the_network_from_which_a_node_takes_all_else_is_named() -> None:
    spec = NetworkSpec(name="lan", driver=Driver("macvlan"), config_from="conf")
    rendered = render_network(structs.replace(NET, spec=spec, vnis=(), ranges=())).spec
    assert (rendered.WhichOneof("config_from"), rendered.network) == ("network", "conf")
    assert render_network(NET).spec.WhichOneof("config_from") is None


def test_an_overlay_has_its_vxlan_ids_beside_its_options() -> None:
    state = render_network(NET).driver_state
    assert (state.name, dict(state.options)) == ("overlay", {"encrypted": "", VNIS: "4097,4098"})


def test_an_overlay_has_its_ranges_with_their_families() -> None:
    ipam = render_network(NET).ipam
    assert (ipam.driver.name, dict(ipam.driver.options)) == ("default", {"opt": "1"})
    assert [(one.family, one.subnet, one.range, one.gateway) for one in ipam.configs] == [
        (types_pb2.IPAMConfig.IPV4, "10.50.0.0/24", "10.50.0.128/25", "10.50.0.1"),
        (types_pb2.IPAMConfig.IPV6, "fd00::/64", "", "fd00::1"),
    ]


def test_a_driver_that_was_not_said_is_overlay() -> None:
    state = render_network(structs.replace(NET, spec=NetworkSpec(name="x"))).driver_state
    assert state.name == "overlay"


def test_the_ingress_network_says_that_it_is() -> None:
    network = render_network(structs.replace(NET, spec=INGRESS))
    assert network.spec.ingress
    assert (network.driver_state.name, network.ipam.driver.name) == ("overlay", "default")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (NetworkSpec(name="x"), Expected("overlay", "default")),
        (NetworkSpec(name="x", driver=Driver()), Expected("overlay", "default")),
        (NetworkSpec(name="host", driver=Driver("host")), Expected("host", "")),
        (NetworkSpec(name="lan", driver=Driver("macvlan", {"parent": "eth0"})), Expected("macvlan", "")),
    ],
)
def test_driver_state_and_ipam_driver_are_there_always(spec: NetworkSpec, expected: Expected) -> None:
    network = render_network(structs.replace(NET, spec=spec, vnis=(), ranges=()))
    assert network.HasField("driver_state")
    assert network.HasField("ipam")
    assert network.ipam.HasField("driver")
    assert Expected(network.driver_state.name, network.ipam.driver.name) == expected


def test_a_network_of_the_nodes_own_has_labels_by_which_dockerd_finds_it() -> None:
    labels = {"com.docker.swarm.predefined": "true"}
    network = render_network(
        structs.replace(NET, spec=NetworkSpec(name="host", labels=labels, driver=Driver("host")), vnis=(), ranges=())
    )
    assert dict(network.spec.annotations.labels) == labels
    assert list(network.ipam.configs) == []
