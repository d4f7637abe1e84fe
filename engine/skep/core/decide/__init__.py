"""Decide: what a command makes of the present state: events, nothing if it is already so, or a rejection.

For people and plans alike, in one table keyed by the command's type. Deciding never changes the state.
"""

from collections.abc import Callable
from typing import Any

from skep.core.commands import (
    AllocateService,
    AllocateTasks,
    AssignTasks,
    Command,
    CreateConfig,
    CreateSecret,
    CreateService,
    CreateTasks,
    DescribeNode,
    DesireTasks,
    HoldTasks,
    InitSwarm,
    JoinNodes,
    LeaveSwarm,
    ObserveNodes,
    ReapTasks,
    RemoveConfig,
    RemoveNode,
    RemoveSecret,
    RemoveService,
    ReportTasks,
    ReportUpdate,
    RollbackService,
    StartEngine,
    UpdateConfigObject,
    UpdateNode,
    UpdateSecret,
    UpdateService,
    UpdateSwarm,
)
from skep.core.decide import node, secret, service, swarm, task
from skep.core.events import Event
from skep.core.state import ClusterState

#: A test proves that it has every command of `skep.core.commands`.
DECIDE: dict[type[Command], Callable[[ClusterState, Any], tuple[Event, ...]]] = {
    StartEngine: swarm.start_engine,
    InitSwarm: swarm.init_swarm,
    UpdateSwarm: swarm.update_swarm,
    LeaveSwarm: swarm.leave_swarm,
    JoinNodes: node.join_nodes,
    DescribeNode: node.describe_node,
    ObserveNodes: node.observe_nodes,
    UpdateNode: node.update_node,
    RemoveNode: node.remove_node,
    CreateService: service.create_service,
    UpdateService: service.update_service,
    RollbackService: service.rollback_service,
    ReportUpdate: service.report_update,
    AllocateService: service.allocate_service,
    RemoveService: service.remove_service,
    CreateTasks: task.create_tasks,
    AllocateTasks: task.allocate_tasks,
    AssignTasks: task.assign_tasks,
    HoldTasks: task.hold_tasks,
    DesireTasks: task.desire_tasks,
    ReportTasks: task.report_tasks,
    ReapTasks: task.reap_tasks,
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
