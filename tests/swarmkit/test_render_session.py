"""Session messages: whole every time."""

import itertools

import pytest
from msgspec import structs
from skep.model.ids import EPOCH, NetworkId, NodeId, Position
from skep.model.network import NetworkAddress
from skep.model.node import Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.states import Availability, NodeState, Role
from skep.ports.link import Peer, PlainKey, SessionMessage
from skep_adapters.swarmkit.render_keys import render_keys
from skep_adapters.swarmkit.render_node import ROTATE, render_node
from skep_adapters.swarmkit.render_session import render_session
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2

NODE = Node(
    id=NodeId("w" * 25),
    spec=NodeSpec("box", {"zone": "a"}, Role.WORKER, Availability.DRAIN),
    description=NodeDescription("box"),
    status=NodeStatus(NodeState.READY, "", "10.0.0.5"),
    version=Position(9),
    written=Position(9),
    created_at=EPOCH,
    updated_at=EPOCH,
    attachments=(
        NetworkAddress(NetworkId("a"), "10.0.1.2/24"),
        NetworkAddress(NetworkId("gone"), "10.0.2.2/24"),
        NetworkAddress(NetworkId("own"), ""),
    ),
)

NETWORKS = {NetworkId(name): objects_pb2.Network(id=name) for name in ("a", "own")}

KEYS = tuple(
    PlainKey(subsystem, bytes([lamport]) * 16, lamport)
    for subsystem in ("networking:gossip", "networking:ipsec")
    for lamport in (1, 2, 3)
)

MESSAGE = SessionMessage(
    "session", NODE, (Peer(NodeId("m"), "10.0.0.1:2377"), Peer(NodeId("n"), "10.0.0.2:2377", 1)), KEYS, "PEM"
)


def test_a_node_is_told_of_itself() -> None:
    node = render_node(NODE, networks=NETWORKS, data_path_port=4789)
    assert (node.id, node.spec.annotations.name, dict(node.spec.annotations.labels)) == (
        "w" * 25,
        "box",
        {"zone": "a"},
    )
    assert node.spec.membership == specs_pb2.NodeSpec.ACCEPTED
    assert node.spec.availability == specs_pb2.NodeSpec.DRAIN
    assert (node.status.state, node.status.addr) == (types_pb2.NodeStatus.READY, "10.0.0.5")
    assert node.VXLANUDPPort == 4789
    assert node.certificate.status.state == types_pb2.IssuanceStatus.ISSUED


def test_a_node_may_be_told_to_renew_its_certificate() -> None:
    node = render_node(NODE, networks={}, certificate=ROTATE)
    assert node.certificate.status.state == types_pb2.IssuanceStatus.ROTATE


def test_an_engine_is_never_told_that_it_is_a_manager() -> None:
    manager = structs.replace(NODE, spec=structs.replace(NODE.spec, role=Role.MANAGER))
    node = render_node(manager, networks={})
    roles = (node.role, node.spec.desired_role, node.certificate.role)
    assert roles == (types_pb2.WORKER, types_pb2.WORKER, types_pb2.WORKER)


def test_a_node_has_its_own_address_on_each_overlay_that_is_still_there() -> None:
    attachments = render_node(NODE, networks=NETWORKS).attachments
    assert [(one.network.id, list(one.addresses)) for one in attachments] == [("a", ["10.0.1.2/24"])]


def test_a_session_says_everything() -> None:
    node = render_node(NODE, networks=NETWORKS)
    message = render_session(MESSAGE, node=node)
    assert (message.session_id, message.RootCA, message.node) == ("session", b"PEM", node)
    assert [(one.peer.node_id, one.peer.addr, one.weight) for one in message.managers] == [
        ("m", "10.0.0.1:2377", 10),
        ("n", "10.0.0.2:2377", 1),
    ]
    assert len(message.network_bootstrap_keys) == 6


def test_a_session_without_managers_is_not_sent() -> None:
    with pytest.raises(ValueError, match="names no manager"):
        render_session(structs.replace(MESSAGE, managers=()), node=objects_pb2.Node())


def test_keys_are_told_apart_by_their_times_alone() -> None:
    keys = render_keys(KEYS)
    assert len({key.lamport_time for key in keys}) == 6
    assert {key.algorithm for key in keys} == {types_pb2.EncryptionKey.AES_128_GCM}


def test_keys_keep_their_times_and_order_when_they_are_rotated() -> None:
    rotated = [
        PlainKey(key.subsystem, bytes([9]) * 16, 4) if key.lamport == 1 else key for key in KEYS
    ]  # the oldest makes place for a newer
    before, after = ({key.lamport_time: key.key for key in render_keys(keys)} for keys in (KEYS, rotated))
    assert len(before.keys() & after.keys()) == 4
    assert min(after.keys() - before.keys()) > max(before.keys())
    assert all(before[time] == after[time] for time in before.keys() & after.keys())


def test_the_middle_key_of_each_purpose_stays_the_middle_one() -> None:
    for _, group in itertools.groupby(render_keys(KEYS), key=lambda key: key.subsystem):
        ordered = sorted(group, key=lambda key: key.lamport_time)
        assert [key.key[0] for key in ordered] == [1, 2, 3]


def test_no_keys_are_sent_where_there_are_none() -> None:
    assert render_keys(()) == []


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (KEYS[1:], "2 keys for networking:gossip, not 3"),
        (KEYS[:3], "0 keys for networking:ipsec, not 3"),
        ((*KEYS, PlainKey("networking:ipsec", bytes(16), 9)), "4 keys for networking:ipsec, not 3"),
        ((*KEYS, PlainKey("other", bytes(16), 9)), "for nothing that is known"),
        ((*KEYS[:-1], PlainKey("networking:ipsec", bytes(16), 1)), "have the same lamport time"),
        ((*KEYS[:-1], PlainKey("networking:ipsec", bytes(8), 3)), "not 16 bytes long"),
    ],
)
def test_keys_that_dockerd_would_drop_without_a_word_are_refused(keys: tuple[PlainKey, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        render_keys(keys)
