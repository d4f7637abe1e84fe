"""Decisions about attachments: containers that people run on nodes, on networks of the swarm.

As in SwarmKit, a network is named by its id or whole name, must be attachable, and is left at once: an engine says so
when the container is off it. Skep's own: what cannot be had is refused at once, with the reason; a container that joins
a network anew leaves it first, if its engine could not say that it had.
"""

from ipaddress import ip_address

from skep.core.addresses import Addresses
from skep.core.commands import AttachContainer, DetachContainer, EndAttachments
from skep.core.events import ROWS_MAX, AttachmentCreated, AttachmentsEnded, Event
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.core.subnets import Ranges, parse_subnet, text_of
from skep.model.ids import NetworkId, TaskId
from skep.model.network import Network
from skep.model.node import Node
from skep.model.states import NodeState

#: More than an engine runs containers: one that has gone wrong must not take every address, nor fill the log.
NODE_ATTACHMENTS_MAX = 2000

#: An address has fewer characters, a prefix length included.
ADDRESS_CHARS_MAX = 64


def attach_container(state: ClusterState, command: AttachContainer) -> tuple[Event, ...]:
    """Put a container on a network, at the address that was asked for, or the next one."""
    if command.attachment_id in state.attachments:
        return ()
    node = state.nodes.get(command.node_id)
    if node is None:
        raise Rejected.not_found("node", command.node_id)
    network = _network(state, command.target)
    if not network.spec.attachable:
        raise Rejected(Code.PERMISSION_DENIED, f"network {command.target} not manually attachable")
    if node.status.state is NodeState.DOWN:
        raise Rejected.precondition(f"node {node.id} is down")
    mine = state.node_attachments.get(node.id, {})
    if len(mine) >= NODE_ATTACHMENTS_MAX:
        what = f"node {node.id} has {len(mine)} containers on networks, which is the most"
        raise Rejected(Code.RESOURCE_EXHAUSTED, what)
    former = tuple(
        i
        for i in mine
        if (state.attachments[i].container_id, state.attachments[i].network_id) == (command.container_id, network.id)
    )
    addr = _address(state, network, node, command.addresses, former)
    created = AttachmentCreated(
        attachment_id=command.attachment_id,
        node_id=node.id,
        network_id=network.id,
        container_id=command.container_id,
        addr=addr,
        asked=bool(command.addresses),
    )
    return (AttachmentsEnded(former), created) if former else (created,)


def detach_container(state: ClusterState, command: DetachContainer) -> tuple[Event, ...]:
    """Take a container of the node's own off its network."""
    attachment = state.attachments.get(command.attachment_id)
    if attachment is None:
        raise Rejected.not_found("attachment", command.attachment_id)
    if attachment.node_id != command.node_id:
        raise Rejected(Code.PERMISSION_DENIED, f"attachment {attachment.id} doesn't belong to this node")
    return (AttachmentsEnded((attachment.id,)),)


def end_attachments(state: ClusterState, command: EndAttachments) -> tuple[Event, ...]:
    """End attachments that are still there."""
    if len(command.attachment_ids) > ROWS_MAX:
        raise Rejected.invalid(f"{len(command.attachment_ids)} rows are too many for one command (at most {ROWS_MAX})")
    rows = tuple(i for i in command.attachment_ids if i in state.attachments)
    return (AttachmentsEnded(rows),) if rows else ()


def _network(state: ClusterState, target: str) -> Network:
    network_id = NetworkId(target)
    if network_id not in state.networks:
        network_id = state.network_names.get(target, network_id)
    if network_id not in state.networks:
        raise Rejected.not_found("network", target)
    return state.networks[network_id]


def _address(
    state: ClusterState, network: Network, node: Node, asked: tuple[str, ...], former: tuple[TaskId, ...]
) -> str:
    """Return the address of a new attachment; its node must have one left for itself, if it has none there yet."""
    if not network.allocated:
        raise Rejected.precondition(f"network {network.spec.name} has no subnet yet")
    if not network.ranges:
        return ""
    if len(asked) > 1:
        raise Rejected.invalid(f"one address of network {network.spec.name} can be asked for, not {len(asked)}")
    addresses = Addresses(state)
    has_own = any(given.network_id == network.id for given in node.attachments)
    lacks = addresses.lacks([network.id] if has_own else [network.id, network.id])
    if lacks:
        raise Rejected.precondition(lacks[0])
    return _asked(state, network, asked[0], former) if asked else addresses.draw(network.id)


def _asked(state: ClusterState, network: Network, text: str, former: tuple[TaskId, ...]) -> str:
    try:
        address = ip_address(text[:ADDRESS_CHARS_MAX].partition("/")[0])
    except ValueError:
        raise Rejected.invalid("the address that is asked for is none") from None
    ranges = Ranges(network.ranges)
    inside = any(address in parse_subnet(config.subnet) for config in network.ranges)
    offset = ranges.offset(int(address)) if inside else None
    if offset is None or int(address) in ranges.reserved:
        raise Rejected.invalid(f"address {address} is none that network {network.spec.name} gives")
    if state.addresses.get(network.id, {}).get(int(address), "") not in ("", *former):
        raise Rejected.precondition(f"address {address} of network {network.spec.name} is in use")
    return text_of(*ranges.at(offset))
