"""Decisions about nodes."""

from skep.core.commands import AttachNode, DescribeNode, JoinNodes, ObserveNodes, RemoveNode, UpdateNode
from skep.core.decide.versions import check_version
from skep.core.events import Event, NodeAttached, NodeDescribed, NodeRemoved, NodesJoined, NodesObserved, NodeUpdated
from skep.core.rejected import Code, Rejected
from skep.core.rules.node import check_node
from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.model.node import Node
from skep.model.states import NodeState, Role


def join_nodes(state: ClusterState, command: JoinNodes) -> tuple[Event, ...]:
    """Take in those that are not members yet."""
    rows = [
        row
        for row in zip(
            command.node_ids, command.specs, command.descriptions, command.addrs, command.managers, strict=True
        )
        if row[0] not in state.nodes
    ]
    if not rows:
        return ()
    node_ids, specs, descriptions, addrs, managers = zip(*rows, strict=True)
    return (NodesJoined(node_ids, specs, descriptions, addrs, managers, command.certified),)


def describe_node(state: ClusterState, command: DescribeNode) -> tuple[Event, ...]:
    """Take a description that differs."""
    node = _known(state, command.node_id)
    addr = command.addr or node.status.addr
    if node.description == command.description and node.status.addr == addr:
        return ()
    return (NodeDescribed(command.node_id, command.description, addr),)


def attach_node(state: ClusterState, command: AttachNode) -> tuple[Event, ...]:
    """Give a node addresses of its own that differ."""
    node = _known(state, command.node_id)
    if node.attachments == command.attachments:
        return ()
    return (NodeAttached(node.id, command.attachments),)


def observe_nodes(state: ClusterState, command: ObserveNodes) -> tuple[Event, ...]:
    """Take what is new about nodes that are still members."""
    changed = tuple(
        node_id
        for node_id in command.node_ids
        if node_id in state.nodes
        and (
            state.nodes[node_id].status.state is not command.state
            or state.nodes[node_id].status.message != command.message
        )
    )
    return (NodesObserved(changed, command.state, command.message),) if changed else ()


def update_node(state: ClusterState, command: UpdateNode) -> tuple[Event, ...]:
    """Change what a person wants of a node."""
    node = _known(state, command.node_id)
    check_node(command.spec)
    check_version(node, command.version)
    role = command.spec.role
    if role is Role.WORKER and node.manager is not None and _managers(state) == 1:
        raise Rejected.precondition("attempting to demote the last manager of the swarm")
    if role is Role.MANAGER and node.manager is None:
        why = "a Docker Engine is no manager of skep's swarm" if node.certified else "skep has one manager yet"
        raise Rejected(Code.UNIMPLEMENTED, f"node {node.id} cannot be promoted: {why} (Role {role!s})")
    return (NodeUpdated(command.node_id, command.spec),)


def remove_node(state: ClusterState, command: RemoveNode) -> tuple[Event, ...]:
    """Strike a node that is down, or any worker by force."""
    node = _known(state, command.node_id)
    if node.manager is not None:
        raise Rejected.precondition(
            f"node {node.id} is a cluster manager and is a member of the raft cluster. "
            "It must be demoted to worker before removal"
        )
    if not command.force and node.status.state is not NodeState.DOWN:
        raise Rejected.precondition(f"node {node.id} is not down and can't be removed")
    return (NodeRemoved(node.id),)


def _managers(state: ClusterState) -> int:
    return sum(node.manager is not None for node in state.nodes.values())


def _known(state: ClusterState, node_id: NodeId) -> Node:
    node = state.nodes.get(node_id)
    if node is None:
        raise Rejected.not_found("node", node_id)
    return node
