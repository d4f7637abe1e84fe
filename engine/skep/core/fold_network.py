"""How the events of networks, and of the addresses of nodes, change the state."""

from collections.abc import Iterable

from msgspec.structs import replace

from skep.core import address_index, stack_index
from skep.core.events import NetworkAllocated, NetworkCreated, NetworkRemoved, NodeAttached
from skep.core.indexes import Topic
from skep.core.state import FIRST_VNI, LAST_VNI, ClusterState
from skep.core.subnets import Pools, Ranges, number_of
from skep.model.ids import NetworkId
from skep.model.network import VNI_OPTION, IpamConfig, Network, NetworkAddress
from skep.model.service import VirtualIp

#: Of more digits no number is made: Python refuses very long ones, and what is asked for comes from outside.
VNI_DIGITS_MAX = 32


def network_created(state: ClusterState, event: NetworkCreated) -> None:
    """Begin a network."""
    network = state.networks[event.network_id] = Network(
        id=event.network_id,
        spec=event.spec,
        version=state.position,
        written=state.position,
        created_at=state.time,
        updated_at=state.time,
    )
    state.network_names[event.spec.name] = event.network_id
    stack_index.note(state, event.spec.labels)
    if event.spec.ingress:
        state.ingress_id = network.id
        if state.cluster is not None:
            state.cluster = replace(state.cluster, routing_mesh=True)
        _rejudge_publishers(state)
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def network_allocated(state: ClusterState, event: NetworkAllocated) -> None:
    """Give a network its VXLAN ids and its ranges."""
    network = state.networks[event.network_id]
    state.networks[event.network_id] = replace(
        network, vnis=event.vnis, ranges=event.ranges, version=state.position, updated_at=state.time
    )
    chosen = [vni for vni in event.vnis if vni not in asked_vnis(network)]
    if chosen:
        state.next_vni = chosen[-1] + 1 if chosen[-1] < LAST_VNI else FIRST_VNI
    pools = pools_of(state)
    asked = {config.subnet: None for config in asked_ranges(network)}
    for given in event.ranges:
        index = None if given.subnet in asked else pools.index(given.subnet)
        if index is not None:
            state.next_subnet = (index + 1) % pools.count
    if event.ranges:
        state.capacities[network.id] = Ranges(event.ranges).capacity
    if network.spec.ingress:
        for node_id in state.nodes:
            address_index.judge_node(state, node_id)
    address_index.wake(state)
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def network_removed(state: ClusterState, event: NetworkRemoved) -> None:
    """End a network. Others that asked for what it had may have it now."""
    network = state.networks.pop(event.network_id)
    del state.network_names[network.spec.name]
    stack_index.note(state, network.spec.labels)
    state.cursors.pop(network.id, None)
    state.capacities.pop(network.id, None)
    if network.spec.ingress:
        state.ingress_id = NetworkId("")
        _rejudge_publishers(state)
    address_index.drop_network(state, network.id)
    for other in state.networks.values():
        if not other.allocated:
            state.touched.keys[Topic.NETWORK, other.id] = None
    address_index.wake(state)
    state.touched.keys[Topic.NETWORK, event.network_id] = None


def node_attached(state: ClusterState, event: NodeAttached) -> None:
    """Give a node its own addresses."""
    node = state.nodes[event.node_id]
    attached = replace(node, attachments=event.attachments, version=state.position, updated_at=state.time)
    state.nodes[event.node_id] = attached
    address_index.free_attachments(state, node)
    address_index.hold_attachments(state, attached)
    move_cursors(state, [given for given in event.attachments if given not in node.attachments])
    address_index.judge_node(state, event.node_id)
    state.touched.sessions[event.node_id] = None


def move_cursors(state: ClusterState, given: Iterable[NetworkAddress | VirtualIp]) -> None:
    """Let the addresses that follow these be the next to be given on their networks."""
    last = {one.network_id: one.addr for one in given if one.addr}
    for network_id, addr in last.items():
        network = state.networks.get(network_id)
        if network is None:
            continue
        ranges = Ranges(network.ranges)
        offset = ranges.offset(number_of(addr))
        if offset is not None:
            state.cursors[network_id] = (offset + 1) % ranges.size


def pools_of(state: ClusterState) -> Pools:
    """Return the subnets that the swarm gives."""
    cluster = state.cluster
    return Pools((), 24) if cluster is None else Pools(cluster.default_addr_pool, cluster.subnet_size)


def asked_ranges(network: Network) -> tuple[IpamConfig, ...]:
    """Return what a person said of a network's ranges."""
    return network.spec.ipam.configs if network.spec.ipam else ()


def asked_vnis(network: Network) -> tuple[int, ...]:
    """Return the VXLAN ids that a person chose, as far as they are numbers; one that is endless is too large."""
    options = network.spec.driver.options if network.spec.driver else {}
    said = (vni.strip() for vni in options.get(VNI_OPTION, "").split(","))
    return tuple(int(vni) if len(vni) <= VNI_DIGITS_MAX else LAST_VNI + 1 for vni in said if vni.isdecimal())


def _rejudge_publishers(state: ClusterState) -> None:
    for service_id in {**dict.fromkeys(state.ports.values()), **state.unallocated}:
        address_index.judge_service(state, service_id)
