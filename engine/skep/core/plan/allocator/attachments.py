"""Attachments: an address of a node's own on each network that tasks which live on it are on, for its load balancer.

Every node has one on the ingress network. It is free again when no such task is left on the node (FACTS, chapter 9).
"""

from skep.core.address_index import wanted_attachments
from skep.core.addresses import Addresses
from skep.core.commands import AttachNode
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId
from skep.model.network import NetworkAddress


def plan_attachments(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no object
    """Return the attachments of a node that has others than it should have."""
    node = state.nodes.get(NodeId(key))
    if node is None or node.id not in state.detached:
        return CONTENT
    addresses = Addresses(state)
    had = {given.network_id: given for given in node.attachments}
    given: list[NetworkAddress] = []
    for network_id in wanted_attachments(state, node):
        if network_id in had:
            given.append(had[network_id])
        elif not addresses.lacks([network_id]):
            given.append(NetworkAddress(network_id, addresses.draw(network_id)))
    attachments = tuple(given)
    if attachments == node.attachments:
        return CONTENT
    return Plan(
        (AttachNode(node.id, attachments),),
        cause=max(node.written, state.networks[given[-1].network_id].written) if given else node.written,
    )
