"""Decide: what a command makes of the present state: events, nothing if it is already so, or a rejection.

For people and plans alike, in one table keyed by the command's type. Deciding never changes the state.
"""

from collections.abc import Callable
from typing import Any

from skep.core.commands import (
    AdoptTasks,
    AllocateNetwork,
    AllocateService,
    AllocateTasks,
    AssignTasks,
    AttachContainer,
    AttachNode,
    Command,
    CreateConfig,
    CreateNetwork,
    CreateSecret,
    CreateService,
    CreateTasks,
    DescribeNode,
    DesireTasks,
    DetachContainer,
    EndAttachments,
    EndRebalance,
    EvictTasks,
    HoldTasks,
    InitSwarm,
    JoinNodes,
    LeaveSwarm,
    ObserveNodes,
    ReapTasks,
    RebalanceService,
    RemoveConfig,
    RemoveNetwork,
    RemoveNode,
    RemoveSecret,
    RemoveService,
    ReplaceRoot,
    ReportTasks,
    ReportUpdate,
    RollbackService,
    RotateNetworkKeys,
    StartEngine,
    UpdateConfigObject,
    UpdateNode,
    UpdateSecret,
    UpdateService,
    UpdateSwarm,
)
from skep.core.decide import attachment, network, node, secret, service, swarm, task
from skep.core.events import Event
from skep.core.state import ClusterState

#: A test proves that it has every command of `skep.core.commands`.
DECIDE: dict[type[Command], Callable[[ClusterState, Any], tuple[Event, ...]]] = {
    StartEngine: swarm.start_engine,
    InitSwarm: swarm.init_swarm,
    UpdateSwarm: swarm.update_swarm,
    ReplaceRoot: swarm.replace_root,
    RotateNetworkKeys: swarm.rotate_network_keys,
    LeaveSwarm: swarm.leave_swarm,
    JoinNodes: node.join_nodes,
    DescribeNode: node.describe_node,
    ObserveNodes: node.observe_nodes,
    AttachNode: node.attach_node,
    UpdateNode: node.update_node,
    RemoveNode: node.remove_node,
    CreateService: service.create_service,
    UpdateService: service.update_service,
    RollbackService: service.rollback_service,
    ReportUpdate: service.report_update,
    RebalanceService: service.rebalance_service,
    EndRebalance: service.end_rebalance,
    AllocateService: service.allocate_service,
    RemoveService: service.remove_service,
    CreateTasks: task.create_tasks,
    AllocateTasks: task.allocate_tasks,
    AssignTasks: task.assign_tasks,
    HoldTasks: task.hold_tasks,
    DesireTasks: task.desire_tasks,
    ReportTasks: task.report_tasks,
    EvictTasks: task.evict_tasks,
    AdoptTasks: task.adopt_tasks,
    ReapTasks: task.reap_tasks,
    CreateNetwork: network.create_network,
    AllocateNetwork: network.allocate_network,
    RemoveNetwork: network.remove_network,
    AttachContainer: attachment.attach_container,
    DetachContainer: attachment.detach_container,
    EndAttachments: attachment.end_attachments,
    CreateSecret: secret.create_secret,
    UpdateSecret: secret.update_secret,
    RemoveSecret: secret.remove_secret,
    CreateConfig: secret.create_config,
    UpdateConfigObject: secret.update_config,
    RemoveConfig: secret.remove_config,
}


def decide(state: ClusterState, command: Command) -> tuple[Event, ...]:
    """Return the facts that `command` makes of `state`; none if it is already so.

    Raises:
        Rejected: it cannot be.
    """
    return DECIDE[type(command)](state, command)
