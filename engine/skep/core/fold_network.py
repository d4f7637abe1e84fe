"""How the events of networks, and of the addresses of nodes, change the state."""

from msgspec.structs import replace

from skep.core.events import NetworkAllocated, NetworkCreated, NetworkRemoved, NodeAttached
from skep.core.indexes import Topic
from skep.core.state import ClusterState
from skep.model.network import Network


def network_created(state: ClusterState, event: NetworkCreated) -> None:
    """Begin a network."""
    state.networks[event.network_id] = Network(
        id=event.network_id,
        spec=event.spec,
        version=state.position,
        written=state.position,
        created_at=state.time,
        updated_at=state.time,
    )
    state.network_names[event.spec.name] = event.network_id
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def network_allocated(state: ClusterState, event: NetworkAllocated) -> None:
    """Give a network its VXLAN id and its ranges."""
    network = state.networks[event.network_id]
    state.networks[event.network_id] = replace(
        network, vni=event.vni, ranges=event.ranges, version=state.position, updated_at=state.time
    )
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def network_removed(state: ClusterState, event: NetworkRemoved) -> None:
    """End a network."""
    network = state.networks.pop(event.network_id)
    del state.network_names[network.spec.name]
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def node_attached(state: ClusterState, event: NodeAttached) -> None:
    """Give a node its own addresses."""
    node = state.nodes[event.node_id]
    state.nodes[event.node_id] = replace(
        node, attachments=event.attachments, version=state.position, updated_at=state.time
    )
    state.touched.sessions[event.node_id] = None
