"""Rolling updates: the seats whose task bears another template get a task of the present one, a few at a time.

Which seats are stale is an index, and how far the update is a table, so that a step costs no more than what it does.
Rules as recorded in FACTS, chapter 5.
"""

from collections.abc import Container, Iterator
from itertools import islice

from msgspec.structs import replace

from skep.core.commands import AdoptTasks, Command, DesireTasks, ReportUpdate, RollbackService
from skep.core.constraints import matches_all
from skep.core.decide.service import can_roll_back
from skep.core.eligible import Eligibility
from skep.core.events import ROWS_MAX
from skep.core.indexes import ServiceTasks
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.policy import Rollout, rollout_of
from skep.core.progress import UpdateProgress
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId, Position, Seat, ServiceId, TaskId
from skep.model.service import Placement, Service, TaskTemplate, UpdateStatus
from skep.model.states import TaskState, UpdateState
from skep.model.task import Task

ANYWHERE = Placement()


def plan_updates(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return the next step of a service's update, and when to look again."""
    service = state.services.get(ServiceId(key))
    if service is None or service.spec.kind.is_job:
        return CONTENT
    index = state.service_tasks.get(service.id)
    progress, status = state.updates.get(service.id), service.update_status
    if index is not None and index.stale and _has_surplus(state, service, index):
        return CONTENT  # the plan "replicas" takes that away first, so that none of it is replaced
    if progress is None or status is None:
        return _begin(state, service, index, now) if index is not None and index.stale else CONTENT
    if index is not None and index.stale and not progress.made and (adopt := _adopt(state, service, index)):
        return adopt  # a rollback begins when it is asked for, before any plan
    rollback = status.state is UpdateState.ROLLBACK_STARTED
    rollout = rollout_of(service.spec, rollback=rollback)
    # of those that it has to update, not of all: one that resumes after a pause has fewer
    ratio = len(progress.failed) / max(1, progress.seats)
    if progress.failed and ratio > rollout.max_failure_ratio and rollout.failure_action != "continue":
        return _stop(state, service, status, rollout, progress, rollback=rollback)
    return _step(state, service, status, rollout, progress, now, ids)


def _has_surplus(state: ClusterState, service: Service, index: ServiceTasks) -> bool:
    replicas = service.spec.replicas
    return replicas is not None and len(index.wanted_by_seat) + len(state.given_up.get(service.id, ())) > replicas


def _begin(state: ClusterState, service: Service, index: ServiceTasks, now: Instant) -> Plan:
    """Let those tasks be that are already what is wanted, and begin an update if there are others.

    One that ended is not begun again, but for nodes that could not take part in it.
    """
    per_node = service.spec.kind.per_node
    done = service.update_status is not None and not (per_node and service.update_status.completed_at)
    if done or next(_due(state, service, index), None) is None:
        return CONTENT
    if adopt := _adopt(state, service, index):
        return adopt
    begun = UpdateStatus(UpdateState.UPDATING, started_at=now, message="update in progress")
    return Plan((ReportUpdate(service.id, begun),), cause=service.written, more=True)


def _due(state: ClusterState, service: Service, index: ServiceTasks, tried: Container[Seat] = ()) -> Iterator[TaskId]:
    """Yield the tasks to replace; of a service that is on each node, those whose node takes new ones."""
    wanted = Eligibility(service)
    for seat, task_id in index.stale.items():
        if seat in tried:
            continue
        if service.spec.kind.per_node:
            node = state.nodes.get(NodeId(str(seat)))
            if node is None or not wanted.wants(node):
                continue
        yield task_id


def _adopt(state: ClusterState, service: Service, index: ServiceTasks) -> Plan | None:
    adopted = tuple(islice(_adoptable(state, service, index), ROWS_MAX))
    if not adopted:
        return None
    return Plan((AdoptTasks(service.id, service.spec_version, adopted),), cause=service.written, more=True)


def _adoptable(state: ClusterState, service: Service, index: ServiceTasks) -> Iterator[TaskId]:
    """Yield the tasks whose template differs in its placement alone, and whose node fulfils the present constraints.

    As in SwarmKit: other preferences, and another maximum on a node, are for tasks to come. And those whose template
    differs in its credentials alone, once they have their image.
    """
    templates = state.templates[service.id]
    present = templates[service.spec_version]
    moved = _all_but(templates, present, "placement")
    entitled = _all_but(templates, present, "credentials")
    if len(moved) == len(entitled) == 1:
        return
    placement = service.spec.template.placement or ANYWHERE
    for task_id in index.stale.values():
        task, version = state.tasks[task_id], state.tasks[task_id].origin.spec_version
        node = state.nodes.get(task.node_id)
        if not task.wanted or node is None:
            continue
        has_image = TaskState.READY <= task.state <= TaskState.RUNNING
        if (has_image and version in entitled) or (version in moved and matches_all(placement.constraints, node)):
            yield task_id


def _all_but(templates: dict[Position, TaskTemplate], present: TaskTemplate, part: str) -> dict[Position, None]:
    """Return which templates are as the present one but for one part, the present one among them."""
    wanted = _without(present, part)
    return {version: None for version, template in templates.items() if _without(template, part) == wanted}


def _without(template: TaskTemplate, part: str) -> TaskTemplate:
    if part == "credentials":
        return replace(template, credentials=None)
    return replace(template, spec=replace(template.spec, placement=None))


def _step(
    state: ClusterState,
    service: Service,
    status: UpdateStatus,
    rollout: Rollout,
    progress: UpdateProgress,
    now: Instant,
    ids: Ids,
) -> Plan:
    index = state.service_tasks.get(service.id)
    # a seat that was tried is the restart policy's, or nobody's
    stale = _due(state, service, index, progress.failed) if index else iter(())
    resting = [since + rollout.delay for since in progress.resting.values() if since + rollout.delay > now]
    free = rollout.parallelism - len(progress.moving) - len(resting) if rollout.parallelism else ROWS_MAX
    batch = [state.tasks[i] for i in islice(stale, max(0, min(free, ROWS_MAX)))]
    if batch:
        commands = _replace(state, service, batch, rollout, ids)
        return Plan(tuple(commands), cause=service.written, wake_at=earliest(*resting), more=len(batch) == ROWS_MAX)
    if progress.moving or next(stale, None) is not None:
        return Plan(wake_at=earliest(*resting))
    done_at = progress.last_settled + rollout.delay + rollout.monitor if progress.last_settled else now
    if now < done_at:
        return Plan(wake_at=Instant(done_at))
    return Plan((_completed(service, status, now),), cause=service.written)


def _completed(service: Service, status: UpdateStatus, now: Instant) -> Command:
    rollback = status.state is UpdateState.ROLLBACK_STARTED
    return ReportUpdate(
        service.id,
        UpdateStatus(
            UpdateState.ROLLBACK_COMPLETED if rollback else UpdateState.COMPLETED,
            started_at=status.started_at,
            message="rollback completed" if rollback else "update completed",
            completed_at=now,
        ),
    )


def _stop(
    state: ClusterState,
    service: Service,
    status: UpdateStatus,
    rollout: Rollout,
    progress: UpdateProgress,
    *,
    rollback: bool,
) -> Plan:
    """Pause, or roll back: what the spec says is done when tasks fail. What cannot be rolled back pauses."""
    first = next(iter(progress.failed.values()))
    failed = state.tasks.get(first)
    cause = failed.version if failed is not None else service.version
    because = f"due to failure or early termination of task {first}"
    if rollout.failure_action == "rollback" and not rollback and can_roll_back(state, service):
        back = RollbackService(service.id, service.version, automatic=True, message=f"update rolled back {because}")
        return Plan((back,), cause=cause, more=True)
    paused = UpdateStatus(
        UpdateState.ROLLBACK_PAUSED if rollback else UpdateState.PAUSED,
        started_at=status.started_at,
        message=f"{'rollback' if rollback else 'update'} paused {because}",
    )
    return Plan((ReportUpdate(service.id, paused),), cause=cause)


def _replace(state: ClusterState, service: Service, batch: list[Task], rollout: Rollout, ids: Ids) -> list[Command]:
    """Give each seat of `batch` a task of the present template."""
    index = state.service_tasks[service.id]
    old = [i for task in batch for i in index.wanted_by_seat.get(task.seat, ())]
    waits = bool(old) and not rollout.start_first
    seats = [task.seat for task in batch]
    desired = TaskState.READY if waits else TaskState.RUNNING
    commands: list[Command] = [create(service, seats, ids, desired=desired, replaces=batch)]
    if waits:
        parts = (old[first : first + ROWS_MAX] for first in range(0, len(old), ROWS_MAX))
        commands += [DesireTasks(tuple(part), TaskState.SHUTDOWN) for part in parts]
    return commands
