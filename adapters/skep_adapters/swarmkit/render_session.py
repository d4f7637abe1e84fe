"""What an agent must know beside its tasks, whole in every message."""

from skep.ports.link import Peer, SessionMessage

from skep_adapters.swarmkit.numbers import int64
from skep_adapters.swarmkit.render_keys import render_keys
from skep_adapters.swarmkit.render_network import render_network
from skep_adapters.swarmkit.render_node import ISSUED, ROTATE, render_node
from skep_adapters.swarmkit.wire import dispatcher_pb2, types_pb2


def render_session(message: SessionMessage, *, data_path_port: int = 0) -> dispatcher_pb2.SessionMessage:
    """Return a message of a Session stream; `data_path_port` is the swarm's for VXLAN, 0 leaves it to the engine.

    Raises:
        ValueError: it names no manager, and the agent would forget where to turn to; or its keys are not such as
            dockerd takes.
    """
    if not message.managers:
        raise ValueError("a session names no manager")
    networks = {network.id: render_network(network) for network in message.networks}
    return dispatcher_pb2.SessionMessage(
        session_id=message.session_id,
        node=render_node(
            message.node,
            networks=networks,
            certificate=ROTATE if message.renew else ISSUED,
            data_path_port=data_path_port,
        ),
        managers=[_manager(peer) for peer in message.managers],
        network_bootstrap_keys=render_keys(message.network_keys),
        RootCA=message.root_ca.encode(),
    )


def _manager(peer: Peer) -> types_pb2.WeightedPeer:
    return types_pb2.WeightedPeer(peer=types_pb2.Peer(node_id=peer.node_id, addr=peer.addr), weight=int64(peer.weight))
