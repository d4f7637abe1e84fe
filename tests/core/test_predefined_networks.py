"""The networks `host` and `bridge`, which are every engine's own (scenario 15)."""

import re

import pytest
import skep
from msgspec.structs import replace
from skep.core.commands import CreateNetwork, RemoveNetwork
from skep.core.lookup import find_network
from skep.core.predefined import predefined_networks
from skep.core.rejected import Code, Rejected
from skep.model.ids import ClusterId, Instant, NetworkId, NodeId, Position
from skep.model.network import PREDEFINED_LABEL
from skep.model.service import PortConfig, VirtualIp
from skep.model.states import TaskState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def ids(cluster_id: str) -> list[str]:
    return [one.id for one in predefined_networks(ClusterId(cluster_id), Position(1), Instant(1))]


def test_their_ids_are_the_same_in_each_life_of_a_swarm_and_others_in_another_swarm() -> None:
    assert ids("abc") == ids("abc")
    assert not {*ids("abc")} & {*ids("abd")}
    assert len({*ids("abc")}) == 2
    assert all(re.fullmatch("[0-9a-z]{25}", one) for one in ids("abc"))


def test_a_swarm_begins_with_them() -> None:
    swarm = CoreSwarm()
    shown = [(one.spec.name, one.spec.labels, one.version) for one in swarm.state.networks.values()]
    label = {"com.docker.swarm.predefined": "true"}
    assert shown == [("bridge", label, Position(1)), ("host", label, Position(1))]
    swarm.check()


@pytest.mark.parametrize("name", ["host", "bridge"])
def test_a_service_on_one_is_given_no_address_there_and_nor_are_its_tasks_and_nodes(name: str) -> None:
    swarm = CoreSwarm(nodes=1, ingress=True)
    swarm.settle()
    service_id = swarm.create(skep.service_spec("web", "demo", networks=[name]))
    swarm.quiet()
    network = find_network(swarm.state, name)
    service = swarm.state.services[service_id]
    assert service.spec.template.networks[0].target == network.id
    assert service.endpoint is not None
    assert service.endpoint.virtual_ips == (VirtualIp(network.id, ""),)
    (task,) = swarm.state.tasks_of(service_id)
    assert task.state is TaskState.RUNNING
    assert [(one.network_id, one.addr) for one in swarm.state.given[task.id].addresses] == [(network.id, "")]
    assert [one.network_id for one in swarm.state.nodes[NodeId("node-1")].attachments] == [swarm.state.ingress_id]
    assert [*swarm.state.addresses] == [swarm.state.ingress_id]
    swarm.check()


def test_a_service_on_one_may_publish_ports_as_on_swarm() -> None:
    swarm = CoreSwarm(nodes=1, ingress=True)
    swarm.settle()
    ports = [PortConfig(target_port=80, published_port=8080), PortConfig(target_port=81, publish_mode="host")]
    service_id = swarm.create(skep.service_spec("web", "demo", networks=["host"], ports=ports))
    swarm.quiet()
    (task,) = swarm.state.tasks_of(service_id)
    assert [one.network_id for one in swarm.state.given[task.id].addresses] == [
        swarm.state.ingress_id,
        find_network(swarm.state, "host").id,
    ]
    swarm.check()


def test_one_cannot_be_removed() -> None:
    swarm = CoreSwarm()
    network = find_network(swarm.state, "host")
    with raising(Rejected) as caught:
        swarm.submit(RemoveNetwork(network.id))
    assert str(caught.error) == f"network {network.id} (host) is a swarm predefined network and cannot be removed"


def test_no_other_network_can_pass_for_one() -> None:
    swarm = CoreSwarm()
    spec = replace(skep.network_spec("mine"), labels={PREDEFINED_LABEL: "false"})
    with raising(Rejected) as caught:
        swarm.submit(CreateNetwork(NetworkId("mine"), spec))
    assert isinstance(caught.error, Rejected)
    assert caught.error.code is Code.PERMISSION_DENIED
    assert str(caught.error).startswith(
        "label com.docker.swarm.predefined is for internally created predefined networks and cannot be"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("host", "network with name host already exists"),
        ("none", "operation is not permitted on predefined none network"),
    ],
)
def test_none_of_the_names_of_an_engines_own_can_be_had(name: str, words: str) -> None:
    swarm = CoreSwarm()
    with raising(Rejected) as caught:
        swarm.submit(CreateNetwork(NetworkId("mine"), skep.network_spec(name)))
    assert str(caught.error) == words


def test_a_service_cannot_be_on_none() -> None:
    swarm = CoreSwarm()
    with raising(Rejected) as caught:
        swarm.create(skep.service_spec("web", "demo", networks=["none"]))
    assert str(caught.error) == "network none not found"
