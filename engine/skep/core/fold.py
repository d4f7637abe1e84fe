"""Evolve: how each event changes the state. One small function an event, in one table.

It cannot fail on a valid log, never decides, and knows no time but that of the record.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from skep.core import address_index, fold_attachment, seat_index, stack_index, task_index, wait_index
from skep.core.events import (
    AttachmentCreated,
    AttachmentsEnded,
    AttachmentsReported,
    ConfigCreated,
    ConfigRemoved,
    ConfigUpdated,
    EngineStarted,
    Event,
    NetworkAllocated,
    NetworkCreated,
    NetworkRemoved,
    NodeAttached,
    NodeDescribed,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    SecretCreated,
    SecretRemoved,
    SecretUpdated,
    ServiceAllocated,
    ServiceCreated,
    ServiceRebalanceBegan,
    ServiceRebalanceEnded,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    SwarmInitialized,
    SwarmKeysRotated,
    SwarmLeft,
    SwarmRootReplaced,
    SwarmUpdated,
    TasksAdopted,
    TasksAllocated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksEvicted,
    TasksHeld,
    TasksReaped,
    TasksReported,
)
from skep.core.fold_network import network_allocated, network_created, network_removed, node_attached
from skep.core.fold_service import (
    service_allocated,
    service_created,
    service_rebalance_began,
    service_rebalance_ended,
    service_removed,
    service_rolled_back,
    service_update_reported,
    service_updated,
)
from skep.core.fold_task import (
    tasks_adopted,
    tasks_allocated,
    tasks_assigned,
    tasks_created,
    tasks_desired,
    tasks_evicted,
    tasks_held,
    tasks_reaped,
    tasks_reported,
)
from skep.core.indexes import Topic
from skep.core.predefined import predefined_networks
from skep.core.state import RECENT_MAX, ClusterState
from skep.model.ids import EPOCH, Instant, Position
from skep.model.node import Node, NodeStatus
from skep.model.secret import Config, Secret
from skep.model.states import MESSAGES, NodeState, TaskState
from skep.model.swarm import Cluster
from skep.model.task import TaskStatus

#: Changes whenever a fold gives another state, or a snapshot another form: older checkpoints are left unused then.
FOLD_VERSION = "9"


def begin(state: ClusterState, position: Position, time: Instant, command_id: str) -> None:
    """Step to a record: its events come next."""
    state.position = position
    state.time = time
    if command_id:
        state.recent[command_id] = position
        if len(state.recent) > RECENT_MAX:
            del state.recent[next(iter(state.recent))]


def evolve(state: ClusterState, event: Event) -> None:
    """Apply one event of the record that `begin` stepped to."""
    EVOLVE[type(event)](state, event)


def fold(state: ClusterState, position: Position, time: Instant, command_id: str, events: Iterable[Event]) -> None:
    """Apply a whole record."""
    begin(state, position, time, command_id)
    for event in events:
        EVOLVE[type(event)](state, event)


def _engine_started(state: ClusterState, event: EngineStarted) -> None:  # noqa: ARG001 - it is a fact; nothing derives
    """Put the indexes in the order of their tables: what is planned must not depend on how the state was recovered."""
    task_index.reindex(state)
    for progress in state.updates.values():
        progress.begin_again(state.time)
    for node_id, node in state.nodes.items():
        if node.down_since:
            state.nodes[node_id] = replace(node, down_since=state.time)
        state.touched.keys[Topic.NODE, node_id] = None


def _swarm_initialized(state: ClusterState, event: SwarmInitialized) -> None:
    state.cluster = Cluster(
        id=event.cluster_id,
        spec=event.spec,
        version=state.position,
        written=state.position,
        created_at=state.time,
        updated_at=state.time,
        root=event.root,
        tokens=event.tokens,
        unlock_key=event.unlock_key,
        default_addr_pool=event.default_addr_pool,
        subnet_size=event.subnet_size,
        data_path_port=event.data_path_port,
    )
    for network in predefined_networks(event.cluster_id, state.position, state.time):
        state.networks[network.id] = network
        state.network_names[network.spec.name] = network.id


def _swarm_updated(state: ClusterState, event: SwarmUpdated) -> None:
    cluster = state.cluster
    if cluster is None:
        return
    limit = state.history_limit
    state.cluster = replace(
        cluster,
        spec=event.spec,
        tokens=event.tokens or cluster.tokens,
        unlock_key=event.unlock_key or cluster.unlock_key,
        rotation=event.rotation or cluster.rotation,
        version=state.position,
        written=state.position,
        updated_at=state.time,
    )
    if event.rotation is not None:
        _tell_all(state)
    if state.history_limit != limit:
        seat_index.judge_history(state)


def _swarm_root_replaced(state: ClusterState, event: SwarmRootReplaced) -> None:
    cluster = state.cluster
    if cluster is None or cluster.rotation is None:
        return
    state.cluster = replace(
        cluster,
        root=cluster.rotation.root,
        crossed=cluster.rotation.crossed,
        rotation=None,
        tokens=event.tokens,
        version=state.position,
        updated_at=state.time,
    )
    _tell_all(state)


def _swarm_keys_rotated(state: ClusterState, event: SwarmKeysRotated) -> None:
    if state.cluster is not None:
        state.cluster = replace(state.cluster, network_keys=event.keys, keys_made_at=state.time)
    _tell_all(state)


def _tell_all(state: ClusterState) -> None:
    """Note that every session must hear of what concerns all."""
    state.touched.sessions |= dict.fromkeys(state.nodes)


def _swarm_left(state: ClusterState, event: SwarmLeft) -> None:  # noqa: ARG001 - its name says all
    state.left = True


def _nodes_joined(state: ClusterState, event: NodesJoined) -> None:
    rows = zip(event.node_ids, event.specs, event.descriptions, event.addrs, event.managers, strict=True)
    for node_id, spec, description, addr, manager in rows:
        state.nodes[node_id] = Node(
            id=node_id,
            spec=spec,
            description=description,
            status=NodeStatus(state=NodeState.UNKNOWN, addr=addr),
            version=state.position,
            written=state.position,
            created_at=state.time,
            updated_at=state.time,
            manager=manager,
            certified=event.certified,
        )
        address_index.judge_node(state, node_id)
        _node_touched(state, node_id)


def _node_described(state: ClusterState, event: NodeDescribed) -> None:
    node = state.nodes[event.node_id]
    status = NodeStatus(state=node.status.state, message=node.status.message, addr=event.addr or node.status.addr)
    state.nodes[event.node_id] = replace(
        node, description=event.description, status=status, version=state.position, updated_at=state.time
    )
    _node_touched(state, event.node_id)


def _nodes_observed(state: ClusterState, event: NodesObserved) -> None:
    for node_id in event.node_ids:
        node = state.nodes[node_id]
        status = NodeStatus(state=event.state, message=event.message, addr=node.status.addr)
        down = event.state is NodeState.DOWN
        state.nodes[node_id] = replace(
            node,
            status=status,
            version=state.position,
            updated_at=state.time,
            down_since=(node.down_since or state.time) if down else EPOCH,
        )
        if down or node.down_since:
            wait_index.rejudge_node(state, node_id)
        _node_touched(state, node_id)


def _node_updated(state: ClusterState, event: NodeUpdated) -> None:
    node = state.nodes[event.node_id]
    state.nodes[event.node_id] = replace(
        node,
        spec=event.spec,
        version=state.position,
        written=state.position,
        updated_at=state.time,
        respecified=True,
    )
    _node_touched(state, event.node_id)


def _node_removed(state: ClusterState, event: NodeRemoved) -> None:
    address_index.free_attachments(state, state.nodes.pop(event.node_id))
    address_index.judge_node(state, event.node_id)
    orphaned = TaskStatus(TaskState.ORPHANED, state.time, MESSAGES[TaskState.ORPHANED])
    for task in list(state.tasks_on(event.node_id)):
        if not task.state.terminal:
            task_index.swap(state, task, replace(task, status=orphaned, version=state.position, updated_at=state.time))
            if task.service_id in state.updates:
                state.updates[task.service_id].note_unwanted(task.id)
    for attachment_id in list(state.node_attachments.get(event.node_id, ())):
        fold_attachment.end(state, attachment_id)
    wait_index.rejudge_node(state, event.node_id)
    for service_id in state.node_services:
        seat_index.revive(state, service_id, event.node_id)
    _node_touched(state, event.node_id)


def _node_touched(state: ClusterState, node_id: Any) -> None:
    state.touched.keys[Topic.NODE, node_id] = None
    for service_id in state.node_services:
        of = state.service_tasks.get(service_id)
        if of is not None and node_id in of.stale:  # an update may have left the node out
            state.touched.keys[Topic.WANTED, service_id] = None
    state.touched.sessions[node_id] = None
    node = state.nodes.get(node_id)
    if node is None:
        state.shifts.remove(node_id)
    else:
        state.shifts.nodes[node_id] = None
    if node is None or node.schedulable:
        state.closed.pop(node_id, None)
    else:
        state.closed[node_id] = None


def _secret_created(state: ClusterState, event: SecretCreated) -> None:
    stack_index.note(state, event.spec.labels)
    state.secret_names[event.spec.name] = event.secret_id
    state.secrets[event.secret_id] = Secret(
        id=event.secret_id,
        spec=event.spec,
        sealed=event.sealed,
        version=state.position,
        written=state.position,
        created_at=state.time,
        updated_at=state.time,
    )


def _secret_updated(state: ClusterState, event: SecretUpdated) -> None:
    stack_index.note(state, state.secrets[event.secret_id].spec.labels, event.spec.labels)
    state.secrets[event.secret_id] = replace(
        state.secrets[event.secret_id],
        spec=event.spec,
        version=state.position,
        written=state.position,
        updated_at=state.time,
    )


def _secret_removed(state: ClusterState, event: SecretRemoved) -> None:
    secret = state.secrets.pop(event.secret_id)
    del state.secret_names[secret.spec.name]
    stack_index.note(state, secret.spec.labels)


def _config_created(state: ClusterState, event: ConfigCreated) -> None:
    stack_index.note(state, event.spec.labels)
    state.config_names[event.spec.name] = event.config_id
    state.configs[event.config_id] = Config(
        id=event.config_id,
        spec=event.spec,
        version=state.position,
        written=state.position,
        created_at=state.time,
        updated_at=state.time,
    )


def _config_updated(state: ClusterState, event: ConfigUpdated) -> None:
    stack_index.note(state, state.configs[event.config_id].spec.labels, event.spec.labels)
    state.configs[event.config_id] = replace(
        state.configs[event.config_id],
        spec=event.spec,
        version=state.position,
        written=state.position,
        updated_at=state.time,
    )


def _config_removed(state: ClusterState, event: ConfigRemoved) -> None:
    config = state.configs.pop(event.config_id)
    del state.config_names[config.spec.name]
    stack_index.note(state, config.spec.labels)


#: The only way in which state changes. A test proves that it has every event of `skep.core.events`.
EVOLVE: dict[type[Event], Callable[[ClusterState, Any], None]] = {
    EngineStarted: _engine_started,
    SwarmInitialized: _swarm_initialized,
    SwarmUpdated: _swarm_updated,
    SwarmRootReplaced: _swarm_root_replaced,
    SwarmKeysRotated: _swarm_keys_rotated,
    SwarmLeft: _swarm_left,
    NodesJoined: _nodes_joined,
    NodeAttached: node_attached,
    NodeDescribed: _node_described,
    NodesObserved: _nodes_observed,
    NodeUpdated: _node_updated,
    NodeRemoved: _node_removed,
    ServiceCreated: service_created,
    ServiceUpdated: service_updated,
    ServiceRolledBack: service_rolled_back,
    ServiceUpdateReported: service_update_reported,
    ServiceRebalanceBegan: service_rebalance_began,
    ServiceRebalanceEnded: service_rebalance_ended,
    ServiceAllocated: service_allocated,
    ServiceRemoved: service_removed,
    TasksCreated: tasks_created,
    TasksAllocated: tasks_allocated,
    TasksAssigned: tasks_assigned,
    TasksHeld: tasks_held,
    TasksDesired: tasks_desired,
    TasksReported: tasks_reported,
    TasksEvicted: tasks_evicted,
    TasksAdopted: tasks_adopted,
    TasksReaped: tasks_reaped,
    NetworkCreated: network_created,
    NetworkAllocated: network_allocated,
    NetworkRemoved: network_removed,
    AttachmentCreated: fold_attachment.attachment_created,
    AttachmentsReported: fold_attachment.attachments_reported,
    AttachmentsEnded: fold_attachment.attachments_ended,
    SecretCreated: _secret_created,
    SecretUpdated: _secret_updated,
    SecretRemoved: _secret_removed,
    ConfigCreated: _config_created,
    ConfigUpdated: _config_updated,
    ConfigRemoved: _config_removed,
}
