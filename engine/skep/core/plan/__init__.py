"""Plans: what the cluster still lacks. Pure; made, decided and folded in one turn of the writer.

The stages are Swarm's own, each in a module that bears its name: the orchestrator makes tasks of services, the
allocator gives ports and addresses, the scheduler gives tasks to nodes. The dispatcher is in `skep.runtime`.
"""

from skep.core.indexes import Topic
from skep.core.plan.allocator.attachments import plan_attachments
from skep.core.plan.allocator.networks import plan_networks
from skep.core.plan.allocator.services import plan_allocation
from skep.core.plan.orchestrator.enforcer import plan_enforcement
from skep.core.plan.orchestrator.globals import plan_globals, plan_node_globals
from skep.core.plan.orchestrator.handovers import plan_handovers
from skep.core.plan.orchestrator.jobs import plan_jobs
from skep.core.plan.orchestrator.nodes import plan_nodes
from skep.core.plan.orchestrator.reaper import plan_reaping
from skep.core.plan.orchestrator.rebalancing import plan_rebalancing
from skep.core.plan.orchestrator.replicas import plan_replicas
from skep.core.plan.orchestrator.restarts import plan_restarts
from skep.core.plan.orchestrator.starts import plan_starts
from skep.core.plan.orchestrator.updates import plan_updates
from skep.core.plan.plan import CONTENT, Ids, Plan, Planner
from skep.core.plan.scheduler import plan_placement
from skep.core.state import ClusterState

#: Every plan by its stored name, in the order in which they are made when several are due.
PLANS: dict[str, Planner] = {
    "networks": plan_networks,
    "allocation": plan_allocation,
    "nodes": plan_nodes,
    "enforcement": plan_enforcement,
    "handovers": plan_handovers,
    "globals": plan_globals,
    "node-globals": plan_node_globals,
    "jobs": plan_jobs,
    "updates": plan_updates,
    "replicas": plan_replicas,
    "rebalancing": plan_rebalancing,
    "restarts": plan_restarts,
    "starts": plan_starts,
    "placement": plan_placement,
    "attachments": plan_attachments,
    "reaping": plan_reaping,
}

#: The versions of plans whose rules changed since they were first recorded; of all others it is 1. What an earlier
#: version planned still folds, and is not run again when a log is verified.
VERSIONS = dict.fromkeys(("allocation", "nodes", "updates", "replicas", "restarts", "starts", "placement"), 2)

#: Which plans a change wakes, with the change's own key; "placement" has one key for the whole cluster.
WAKES: dict[Topic, tuple[str, ...]] = {
    Topic.SERVICE: ("allocation", "handovers", "globals", "jobs", "updates", "replicas", "reaping", "rebalancing"),
    Topic.ENDED: ("updates", "restarts", "rebalancing"),
    Topic.STOPPED: ("jobs", "updates", "replicas", "reaping", "placement"),
    Topic.RUNNING: ("updates", "rebalancing"),
    Topic.WAITING: ("starts",),
    Topic.NEW: ("allocation",),
    Topic.PENDING: ("placement",),
    Topic.NODE: ("nodes", "enforcement", "node-globals", "placement"),
    Topic.STRANDED: ("nodes",),
    Topic.DEMANDS: ("enforcement",),
    Topic.REAPABLE: ("reaping",),
    Topic.WANTED: ("updates", "rebalancing"),
    Topic.OVERLAP: ("handovers",),
    Topic.NETWORK: ("networks",),
    Topic.ATTACHMENT: ("attachments",),
}

#: Plans whose key is always this one.
SINGLE_KEY = {"placement": ""}

#: Plans whose keys are nodes.
BY_NODE = ("nodes", "enforcement", "node-globals", "attachments")


def keys_of(topic: Topic, key: str) -> tuple[tuple[str, str], ...]:
    """Return the (plan, key) pairs that a change wakes."""
    return tuple((plan, SINGLE_KEY.get(plan, key)) for plan in WAKES[topic])


def every_key(state: ClusterState) -> list[tuple[str, str]]:
    """Return every (plan, key) that recovery must plan once."""
    services = [*state.services, *(i for i in state.service_tasks if i not in state.services)]
    keys = [("placement", "")]
    keys += [(plan, node_id) for plan in BY_NODE for node_id in state.nodes]
    keys += [("networks", network_id) for network_id in state.networks]
    for plan in PLANS:
        if plan not in ("placement", "networks", *BY_NODE):
            keys += [(plan, service_id) for service_id in services]
    return keys


__all__ = ["CONTENT", "PLANS", "VERSIONS", "WAKES", "Ids", "Plan", "every_key", "keys_of"]
