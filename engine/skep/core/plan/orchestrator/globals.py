"""Global services and global jobs: one task on each node that is active, ready, and fulfils the constraints.

The seat of such a task is its node, and it is born with it; the scheduler only confirms that it can run there. Nodes
that are drained or down are emptied by the plan "nodes"; a paused one keeps what it has and gets nothing new. A job's
task that completed counts for the run; a new run makes all of them again, and removes those of the run before,
completed ones too (recorded in scenario 42).

A seat whose last task ended where nothing new might be made gave up only if its restart policy says so: otherwise it is
tried again as soon as its node takes tasks.
"""

from itertools import chain, islice

from skep.core.commands import Command, DesireTasks
from skep.core.eligible import Eligibility
from skep.core.events import ROWS_MAX
from skep.core.indexes import ServiceTasks
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.orchestrator.restarts import attempt_of, should_restart
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId, Seat, ServiceId, TaskId
from skep.model.service import Service
from skep.model.states import TaskState

#: Services in one plan of a node: each costs two events, and all of them must fit in one record.
SERVICES_MAX = 1000

EMPTY = ServiceTasks()


def plan_globals(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs no time
    """Return what brings a service to one task on each node that it wants one on."""
    service = state.services.get(ServiceId(key))
    if service is None or not service.spec.kind.per_node:
        return CONTENT
    index = state.service_tasks.get(service.id, EMPTY)
    if service.spec.kind.is_job and (old := tuple(islice(_of_older_runs(service, index), ROWS_MAX))):
        return Plan((DesireTasks(old, TaskState.REMOVE),), cause=service.written, more=True)
    wanted = Eligibility(service)
    leaving: list[TaskId] = []
    for seat, task_ids in index.wanted_by_seat.items():
        node = state.nodes.get(NodeId(str(seat)))
        if node is None or not wanted.allows(node):
            # what ended is the restart supervisor's, which may still wait with it
            leaving += [i for i in task_ids if not state.tasks[i].state.terminal]
    missing = [node.id for node in state.nodes.values() if wanted.wants(node) and _is_free(state, service, node.id)]
    commands: list[Command] = []
    if leaving:
        commands.append(DesireTasks(tuple(leaving[:ROWS_MAX]), TaskState.SHUTDOWN))
    if missing:
        commands.append(_create(state, service, missing[:ROWS_MAX], ids))
    more = len(leaving) > ROWS_MAX or len(missing) > ROWS_MAX
    return Plan(tuple(commands), cause=service.written, more=more) if commands else CONTENT


def plan_node_globals(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs no time
    """Return which services begin a task on a node that takes new ones, now that it joined or changed.

    And which tasks that waited for it wait in vain: what it has already is the enforcer's.
    """
    node = state.nodes.get(NodeId(key))
    if node is None or not node.schedulable:
        return CONTENT
    commands: list[Command] = []
    cause = node.version
    for service_id in state.node_services:
        service = state.services[service_id]
        waiting = _waiting(state, service, node.id)
        if not waiting and not _is_free(state, service, node.id):
            continue
        # one that waits goes where it is not wanted; where it is, one begins if none waits
        if Eligibility(service).wants(node) is bool(waiting):
            continue
        if len(commands) == SERVICES_MAX:
            return Plan(tuple(commands), cause=cause, more=True)
        cause = max(cause, service.written)
        if waiting:
            commands.append(DesireTasks(waiting, TaskState.SHUTDOWN))
        else:
            commands.append(_create(state, service, [node.id], ids))
    return Plan(tuple(commands), cause=cause) if commands else CONTENT


def _of_older_runs(service: Service, index: ServiceTasks) -> chain[TaskId]:
    """Return the tasks of a job that live, or completed, in a run that is over."""
    present = service.spec_version
    live = (i for run, tasks in index.wanted_by_spec.items() if run != present for i in tasks)
    done = (i for run, seats in index.completed.items() if run != present for i in seats.values())
    return chain(live, done)


def _waiting(state: ClusterState, service: Service, seat: Seat) -> tuple[TaskId, ...]:
    """Return the tasks of a seat that were not confirmed on its node yet."""
    wanted = state.service_tasks.get(service.id, EMPTY).wanted_by_seat.get(seat, ())
    return tuple(i for i in wanted if state.tasks[i].state < TaskState.ASSIGNED)


def _is_free(state: ClusterState, service: Service, seat: Seat) -> bool:
    """Whether a seat has no task and did not give up, or only because its node took no tasks then."""
    index = state.service_tasks.get(service.id, EMPTY)
    if seat in index.wanted_by_seat or seat in index.completed.get(service.spec_version, ()):
        return False
    last = state.tasks.get(state.given_up.get(service.id, {}).get(seat, TaskId("")))
    # of an older template: the service's update tries it again
    return last is None or (last.origin.spec_version == service.spec_version and should_restart(state, last))


def _create(state: ClusterState, service: Service, nodes: list[NodeId], ids: Ids) -> Command:
    given_up = state.given_up.get(service.id, {})
    last = [state.tasks.get(given_up.get(node_id, TaskId(""))) for node_id in nodes]
    attempts = [attempt_of(service, task) if task is not None else 0 for task in last]
    return create(service, nodes, ids, attempts=attempts)
