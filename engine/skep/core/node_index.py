"""How tasks enter and leave the indexes by node: how many there are, what they hold there, and where they failed.

Every change here may let a task that waits go somewhere, so it wakes the scheduler where one waits.
"""

from skep.core.failures import Failures
from skep.core.holdings import NOTHING_GIVEN, Holdings, holds
from skep.core.indexes import NodeTasks, ServiceTasks, Topic
from skep.core.needs import NO_NEEDS, needs_of
from skep.core.state import ClusterState
from skep.model.ids import NO_SLOT, NodeId, Position, ServiceId
from skep.model.states import TaskState
from skep.model.task import Task


def count(state: ClusterState, of: ServiceTasks, node_id: NodeId, by: int) -> None:
    """Count an active task of a service in (1) or out (-1)."""
    state.node_tasks[node_id].active += by
    now = of.on_node.get(node_id, 0) + by
    if now:
        of.index("on_node")[node_id] = now
    else:
        del of.on_node[node_id]
    _shifted(state, node_id)


def count_template(state: ClusterState, of: ServiceTasks, service_id: ServiceId, spec_version: Position) -> None:
    """Count a task that names a template, and note what it needs if it is the first."""
    refs = of.spec_refs.get(spec_version, 0)
    of.spec_refs[spec_version] = refs + 1
    if not refs:
        note_needs(state, of, service_id, spec_version)


def note_needs(state: ClusterState, of: ServiceTasks, service_id: ServiceId, spec_version: Position) -> None:
    """Note what a template needs and demands that the tasks of a service name from now on."""
    needs = needs_of(state.networks, state.templates[service_id][spec_version])
    if needs is NO_NEEDS:
        return
    of.index("needs")[spec_version] = needs
    if needs.demand is not None:
        of.index("demands")[spec_version] = needs.demand


def change_holding(state: ClusterState, of: ServiceTasks, old: Task, new: Task) -> None:
    """Let a task that changed hold what it holds now. Only where a template of its service demands anything."""
    if holds(old) != holds(new) or old.origin.spec_version != new.origin.spec_version:
        release(state, of, old)
        hold(state, of, new)


def hold(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Let a task hold what it demands, if it does."""
    demand = of.demands.get(task.origin.spec_version)
    if demand is None or not holds(task):
        return
    index = state.node_tasks[task.node_id]
    if index.held is None:
        index.held = Holdings()
    index.held.count(demand, state.given.get(task.origin.id, NOTHING_GIVEN).resources, 1)
    _drop_empty(index)
    _shifted(state, task.node_id)


def release(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Let a task hold nothing, if it did."""
    demand = of.demands.get(task.origin.spec_version)
    index = state.node_tasks.get(task.node_id)
    if demand is None or index is None or index.held is None or not holds(task):
        return
    index.held.count(demand, state.given.get(task.origin.id, NOTHING_GIVEN).resources, -1)
    _drop_empty(index)
    _shifted(state, task.node_id)


def _drop_empty(index: NodeTasks) -> None:
    if not index.held:
        index.held = None


def _shifted(state: ClusterState, node_id: NodeId) -> None:
    state.shifts.loads[node_id] = None
    if state.pending:
        state.touched.keys[Topic.PENDING, ""] = None


def note_failure(state: ClusterState, task: Task) -> None:
    """Keep that a task ended, if it failed where the scheduler had put it and its service is still there."""
    if task.status.state not in (TaskState.FAILED, TaskState.REJECTED) or task.origin.slot == NO_SLOT:
        return
    service_id = task.origin.service_id
    if service_id in state.services:
        failures = state.failures.setdefault(service_id, Failures())
        failures.note(task.origin.spec_version, task.node_id, state.time)


def forget_failures(state: ClusterState, service_id: ServiceId, spec_version: Position) -> None:
    """Forget what befell tasks of a template that no task names any more."""
    failures = state.failures.get(service_id)
    if failures is not None and failures.at.pop(spec_version, None) is not None and not failures.at:
        del state.failures[service_id]
