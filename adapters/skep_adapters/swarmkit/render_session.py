"""What an agent must know beside its tasks, whole in every message."""

from skep.ports.link import Peer, SessionMessage

from skep_adapters.swarmkit.numbers import int64
from skep_adapters.swarmkit.render_keys import render_keys
from skep_adapters.swarmkit.wire import dispatcher_pb2, objects_pb2, types_pb2


def render_session(message: SessionMessage, *, node: objects_pb2.Node) -> dispatcher_pb2.SessionMessage:
    """Return a message of a Session stream; `node` is what `render_node` makes of the message's.

    Raises:
        ValueError: it names no manager, and the agent would forget where to turn to; or its keys are not such as
            dockerd takes.
    """
    if not message.managers:
        raise ValueError("a session names no manager")
    return dispatcher_pb2.SessionMessage(
        session_id=message.session_id,
        node=node,
        managers=[_manager(peer) for peer in message.managers],
        network_bootstrap_keys=render_keys(message.network_keys),
        RootCA=message.root_ca.encode(),
    )


def _manager(peer: Peer) -> types_pb2.WeightedPeer:
    return types_pb2.WeightedPeer(peer=types_pb2.Peer(node_id=peer.node_id, addr=peer.addr), weight=int64(peer.weight))
