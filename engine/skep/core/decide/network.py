"""Decisions about networks."""

from msgspec.structs import replace

from skep.core.commands import AllocateNetwork, CreateNetwork, RemoveNetwork
from skep.core.events import Event, NetworkAllocated, NetworkCreated, NetworkRemoved
from skep.core.rejected import Code, Rejected
from skep.core.rules.network import LOCAL_NAMES, check_network
from skep.core.state import ClusterState
from skep.model.ids import NetworkId
from skep.model.network import Network


def create_network(state: ClusterState, command: CreateNetwork) -> tuple[Event, ...]:
    """Begin a network under a name that is free."""
    spec = replace(command.spec, labels=command.spec.labels or {})
    # the name that is none is taken, too (recorded in scenario 16)
    if not spec.name or spec.name in state.network_names or spec.name in LOCAL_NAMES:
        raise Rejected(Code.ALREADY_EXISTS, f"network with name {spec.name} already exists", bare=True)
    check_network(spec)
    if spec.ingress and state.ingress_id:
        raise Rejected(Code.ALREADY_EXISTS, f"ingress network ({state.ingress_id}) is already present")
    return (NetworkCreated(command.network_id, spec),)


def allocate_network(state: ClusterState, command: AllocateNetwork) -> tuple[Event, ...]:
    """Give a network what it has not yet."""
    network = _known(state, command.network_id)
    if network.vnis == command.vnis and network.ranges == command.ranges:
        return ()
    return (NetworkAllocated(network.id, command.vnis, command.ranges),)


def remove_network(state: ClusterState, command: RemoveNetwork) -> tuple[Event, ...]:
    """End a network that no service uses; tasks that are stopping may still be on it (recorded in scenario 16)."""
    network = _known(state, command.network_id)
    users = state.network_users.get(network.id)
    if users:
        raise Rejected.precondition(f"network {network.id} is in use by service {next(iter(users))}")
    if network.spec.ingress and state.ports:
        publisher = next(iter(state.ports.values()))
        raise Rejected.precondition(f"ingress network cannot be removed because service {publisher} depends on it")
    return (NetworkRemoved(network.id),)


def _known(state: ClusterState, network_id: NetworkId) -> Network:
    network = state.networks.get(network_id)
    if network is None:
        raise Rejected.not_found("network", network_id, bare=True)
    return network
