"""What people do with containers of their own on attachable networks, and what must hold of those."""

from skep.core.commands import AttachContainer, Command, DetachContainer
from skep.core.state import ClusterState
from skep.core.subnets import parse_subnet
from skep.model.ids import NANOSECONDS, TaskId
from skep.model.node import Node
from skep.model.states import NodeState
from skep.testing.simulation.desk import Desk, asked

#: More containers than this are not on networks at once, and so many names they have.
CONTAINERS_MAX = 12
NAMES = 8

#: How often an address is asked for, any network instead of an attachable one, and a network by its name.
ASKED = 0.3
ANY = 0.1
NAMED = 0.5

#: How often a container joins anew that is there already: its engine could not say that it had left.
ANEW = 0.1

#: When what was on a node that is down is given up, with what a clock may go back unnoticed.
DAY_NS = 24 * 3600 * NANOSECONDS
BACK_NS = 2 * NANOSECONDS


@asked(7)
def attach_container(desk: Desk) -> Command | None:
    """Run a container on a network, or want to."""
    state = desk.state
    attachable = {n.id: n for n in state.networks.values() if n.spec.attachable or desk.likely(ANY)}
    network, node = desk.pick(attachable), desk.pick(state.nodes)
    if network is None or node is None or len(state.attachments) >= CONTAINERS_MAX:
        return None
    target = network.spec.name if desk.likely(NAMED) else network.id
    addresses: tuple[str, ...] = ()
    if network.ranges and desk.likely(ASKED):
        subnet = parse_subnet(network.ranges[0].subnet)
        addresses = (str(subnet[desk.random.randrange(8)]),)
    former = desk.pick({one.id: one for one in state.attachments.values() if one.network_id == network.id})
    if former is not None and desk.likely(ANEW):
        return AttachContainer(TaskId(desk.ids.new()), former.node_id, target, former.container_id)
    name = f"container-{desk.random.randrange(NAMES)}-on-{node.description.hostname}"
    return AttachContainer(TaskId(desk.ids.new()), node.id, target, name, addresses)


@asked(3)
def detach_container(desk: Desk) -> Command | None:
    """Take a container off its network, sometimes another node's."""
    attachment = desk.pick(desk.state.attachments)
    node = desk.pick(desk.state.nodes)
    if attachment is None or node is None:
        return None
    return DetachContainer(node.id if desk.likely(ANY) else attachment.node_id, attachment.id)


def wrongly_attached(state: ClusterState, node: Node) -> str:
    """Say which container is still on a network though its node was down for a day, or is there twice."""
    mine = [one for one in state.attachments.values() if one.node_id == node.id]
    if node.status.state is NodeState.DOWN and mine and state.time > node.down_since + DAY_NS + BACK_NS:
        return f"container {mine[0].id} is on a network, and node {node.id} was down for a day"
    joined = [(one.container_id, one.network_id) for one in mine]
    return f"a container of node {node.id} is on a network twice: {joined}" if len({*joined}) < len(joined) else ""
