"""Decisions about networks."""

from msgspec.structs import replace

from skep.core.commands import AllocateNetwork, CreateNetwork, RemoveNetwork
from skep.core.events import Event, NetworkAllocated, NetworkCreated, NetworkRemoved
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.ids import NetworkId
from skep.model.network import Network


def create_network(state: ClusterState, command: CreateNetwork) -> tuple[Event, ...]:
    """Begin a network under a name that is free."""
    spec = replace(command.spec, labels=command.spec.labels or {})
    if spec.name in state.network_names:
        raise Rejected(Code.ALREADY_EXISTS, f"network with name {spec.name} already exists", bare=True)
    return (NetworkCreated(command.network_id, spec),)


def allocate_network(state: ClusterState, command: AllocateNetwork) -> tuple[Event, ...]:
    """Give a network what it has not yet."""
    network = _known(state, command.network_id)
    if network.vni == command.vni and network.ranges == command.ranges:
        return ()
    return (NetworkAllocated(network.id, command.vni, command.ranges),)


def remove_network(state: ClusterState, command: RemoveNetwork) -> tuple[Event, ...]:
    """End a network that no service uses."""
    network = _known(state, command.network_id)
    if state.network_users.get(network.id):
        raise Rejected.precondition(
            f"network {network.id} is in use by service {next(iter(state.network_users[network.id]))}"
        )
    return (NetworkRemoved(network.id),)


def _known(state: ClusterState, network_id: NetworkId) -> Network:
    network = state.networks.get(network_id)
    if network is None:
        raise Rejected.not_found("network", network_id)
    return network
