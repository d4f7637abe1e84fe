"""Rolling updates: the slots whose task bears another template get a task of the present one, a few at a time.

All of an update's progress is read off the state: which wanted tasks are outdated, which new ones run and since when.
Rules as recorded in FACTS, chapter 5.
"""

from msgspec import Struct

from skep.core.commands import Command, CreateTasks, DesireTasks, ReportUpdate, RollbackService
from skep.core.decide.service import can_roll_back
from skep.core.events import ROWS_MAX
from skep.core.plan.orchestrator.policy import Rollout, rollout_of
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.state import ClusterState
from skep.model.ids import Instant, ServiceId, TaskId
from skep.model.service import Service, UpdateStatus
from skep.model.states import TaskState, UpdateState
from skep.model.task import Task

#: States in which a task of the present template ended by itself: "failure or early termination".
FAILURES = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED})

GOING = frozenset({UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})


class _Progress(Struct):
    """How far an update is. `outdated` maps a slot to the task to replace."""

    outdated: dict[int, Task]
    superseded: list[TaskId]
    in_flight: int
    failed: list[Task]
    wake_at: Instant
    last_running: Instant


def plan_updates(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return the next step of a service's update, and when to look again."""
    service = state.services.get(ServiceId(key))
    if service is None or service.spec.replicas is None:
        return CONTENT
    status = service.update_status
    if status is not None and status.state not in GOING:
        return CONTENT
    if status is None:
        if not (_mixed(state, service) or _given_up_outdated(state, service)):
            return CONTENT
        begun = UpdateStatus(UpdateState.UPDATING, started_at=now, message="update in progress")
        return Plan((ReportUpdate(service.id, begun),), cause=service.written, more=True)
    rollback = status.state is UpdateState.ROLLBACK_STARTED
    rollout = rollout_of(service.spec, rollback=rollback)
    progress = _progress(state, service, status, rollout, now)
    if progress.failed and rollout.failure_action != "continue":
        slots = max(1, service.spec.replicas)
        if len(progress.failed) / slots > rollout.max_failure_ratio:
            return _stop(state, service, status, rollout, progress.failed[0], rollback=rollback)
    return _step(service, status, rollout, progress, now, ids)


def _step(
    service: Service, status: UpdateStatus, rollout: Rollout, progress: _Progress, now: Instant, ids: Ids
) -> Plan:
    commands: list[Command] = []
    free = len(progress.outdated) if rollout.parallelism == 0 else rollout.parallelism - progress.in_flight
    # ids are random, so this order is as good as any, and the same whenever the plan is made again
    batch = sorted(progress.outdated.values(), key=lambda task: task.id)[: max(0, min(free, ROWS_MAX))]
    if batch:
        commands.append(_replace(service, batch, rollout, ids))
    stopping = [t.id for t in batch if t.wanted] if not rollout.start_first else []
    stopping += progress.superseded
    if stopping:
        commands.append(DesireTasks(tuple(stopping[:ROWS_MAX]), TaskState.SHUTDOWN))
    if commands:
        more = len(batch) == ROWS_MAX or len(stopping) > ROWS_MAX
        return Plan(tuple(commands), cause=service.written, wake_at=progress.wake_at, more=more)
    if progress.outdated or progress.in_flight:
        return Plan(wake_at=progress.wake_at)
    done_at = progress.last_running + rollout.delay + rollout.monitor if progress.last_running else now
    if now < done_at:
        return Plan(wake_at=earliest(done_at, progress.wake_at))
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
    state: ClusterState, service: Service, status: UpdateStatus, rollout: Rollout, failed: Task, *, rollback: bool
) -> Plan:
    """Pause, or roll back: what the spec says is done when tasks fail. What cannot be rolled back pauses."""
    because = f"due to failure or early termination of task {failed.id}"
    if rollout.failure_action == "rollback" and not rollback and can_roll_back(state, service):
        back = RollbackService(service.id, service.version, automatic=True, message=f"update rolled back {because}")
        return Plan((back,), cause=failed.version, more=True)
    paused = UpdateStatus(
        UpdateState.ROLLBACK_PAUSED if rollback else UpdateState.PAUSED,
        started_at=status.started_at,
        message=f"{'rollback' if rollback else 'update'} paused {because}",
    )
    return Plan((ReportUpdate(service.id, paused),), cause=failed.version)


def _replace(service: Service, batch: list[Task], rollout: Rollout, ids: Ids) -> Command:
    """Give each slot of `batch` a task of the present template."""
    waits = not rollout.start_first and any(t.wanted for t in batch)
    return CreateTasks(
        service_id=service.id,
        spec_version=service.spec_version,
        task_ids=tuple(TaskId(ids.new()) for _ in batch),
        slots=tuple(t.slot for t in batch),
        desired=TaskState.READY if waits else TaskState.RUNNING,
        replaces=tuple(t.id for t in batch),
    )


def _mixed(state: ClusterState, service: Service) -> bool:
    """Whether wanted tasks bear another template, be it in slots that have a present one too."""
    index = state.service_tasks.get(service.id)
    return index is not None and any(spec_version != service.spec_version for spec_version in index.wanted_by_spec)


def _outdated(state: ClusterState, service: Service) -> dict[int, Task]:
    """Return the newest task of each slot that has none of the present template."""
    index = state.service_tasks.get(service.id)
    outdated: dict[int, Task] = {}
    if index is None:
        return outdated
    present = index.wanted_by_spec.get(service.spec_version, {})
    renewed = {state.tasks[i].slot: None for i in present}
    for spec_version, task_ids in index.wanted_by_spec.items():
        if spec_version != service.spec_version:
            outdated |= {state.tasks[i].slot: state.tasks[i] for i in task_ids if state.tasks[i].slot not in renewed}
    return outdated | _given_up_outdated(state, service)


def _given_up_outdated(state: ClusterState, service: Service) -> dict[int, Task]:
    """Return the last tasks of slots that gave up with another template: the present one is tried there too."""
    last = {slot: state.tasks.get(task_id) for slot, task_id in state.given_up.get(service.id, {}).items()}
    return {
        slot: task
        for slot, task in last.items()
        if task is not None and task.origin.spec_version != service.spec_version
    }


def _progress(state: ClusterState, service: Service, status: UpdateStatus, rollout: Rollout, now: Instant) -> _Progress:
    index = state.service_tasks.get(service.id)
    progress = _Progress(_outdated(state, service), [], 0, [], Instant(0), Instant(0))
    if index is None:
        return progress
    failed_slots = _look_back(state, service, status, progress)
    for slot in failed_slots:
        # it was tried: what follows there is the restart policy's, or nothing
        progress.outdated.pop(slot, None)
    for task_id in index.wanted_by_spec.get(service.spec_version, {}):
        task = state.tasks[task_id]
        if _crowds_out(state, service, task, progress, failed=task.slot in failed_slots):
            progress.in_flight += 1
        elif task.origin.created_at >= status.started_at and task.slot not in failed_slots:
            settled_at = task.status.at + rollout.delay
            if task.state is not TaskState.RUNNING:
                progress.in_flight += 1
            elif settled_at > now:
                progress.in_flight += 1
                progress.wake_at = earliest(progress.wake_at, settled_at)
    return progress


def _look_back(state: ClusterState, service: Service, status: UpdateStatus, progress: _Progress) -> dict[int, None]:
    """Note what became of the tasks that the update made; return the slots in which one failed."""
    failed_slots: dict[int, None] = {}
    for task in state.tasks_of(service.id):
        origin = task.origin
        if origin.spec_version != service.spec_version or origin.created_at < status.started_at:
            continue
        if task.state in FAILURES and origin.slot not in failed_slots:
            failed_slots[origin.slot] = None
            progress.failed.append(task)
        elif task.state is TaskState.RUNNING:
            progress.last_running = max(progress.last_running, task.status.at)
    return failed_slots


def _crowds_out(state: ClusterState, service: Service, task: Task, progress: _Progress, *, failed: bool) -> bool:
    """Note which tasks the present one of a slot supersedes; return whether it cannot yet, since it does not run.

    Two are wanted in a slot by start-first, or where an update turned back on one. If none runs, the present one stays,
    and also where one of the present template `failed`: an update that goes on does not wait for that slot.
    """
    in_slot = state.service_tasks[service.id].wanted_by_slot.get(task.slot, ())
    others = [i for i in in_slot if state.tasks[i].origin.spec_version != service.spec_version]
    if not others:
        return False
    if failed or task.state is TaskState.RUNNING or all(state.tasks[i].state is not TaskState.RUNNING for i in others):
        progress.superseded += others
        return False
    return True
