"""Restart supervision: a wanted task that ended is replaced after its delay, or its slot gives up.

Rules as in SwarmKit's `design/orchestrators.md` and FACTS, chapter 4: the replacement is made at once, is wanted READY
until the delay (from now) has passed, and the old one is wanted SHUTDOWN.
"""

from itertools import islice

from skep.core.commands import Command, DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.policy import restarts_of
from skep.core.seats import may_stay
from skep.core.state import ClusterState
from skep.model.ids import EPOCH, Instant, ServiceId, TaskId
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task


def plan_restarts(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return what becomes of a service's wanted tasks that ended."""
    service = state.services.get(ServiceId(key))
    index = state.service_tasks.get(ServiceId(key))
    if service is None or index is None or not index.ended:
        return CONTENT
    tasks = [state.tasks[i] for i in index.ended]
    # what was refused before its time came is not followed before it: else the log grows as fast as tasks are refused
    early = [t.origin.start_at for t in tasks if _is_early(t, now)]
    ended = list(islice((t for t in tasks if not _is_early(t, now)), ROWS_MAX))
    wake_at = earliest(*early)
    if not ended:
        return Plan(wake_at=wake_at)
    again = [t for t in ended if not succeeded(state, service, t) and should_restart(state, t)]
    commands: list[Command] = []
    if again:
        commands += replacements(service, again, now, ids, delay=restarts_of(service.spec.template).delay)
    leaving = _left_behind(state, service, ended, again)
    if leaving:
        commands.append(DesireTasks(leaving, TaskState.SHUTDOWN))
    commands.append(DesireTasks(tuple(t.id for t in ended), TaskState.SHUTDOWN))
    cause = max(t.version for t in ended)
    more = len(tasks) > len(ended) + len(early)
    return Plan(tuple(commands), cause=cause, wake_at=wake_at, more=more)


def _is_early(task: Task, now: Instant) -> bool:
    """Whether a task ended while it was still to wait: rejected as it was prepared (recorded in scenario 40)."""
    return task.desired is TaskState.READY and task.origin.start_at > now


def succeeded(state: ClusterState, service: Service, task: Task) -> bool:
    """Whether the slot already has another task that may stay. One of the present template is followed by its like."""
    in_slot = state.service_tasks[service.id].wanted_by_seat.get(task.seat, ())
    present = task.origin.spec_version == service.spec_version
    return any(
        i != task.id
        and (not present or state.tasks[i].origin.spec_version == service.spec_version)
        and may_stay(state, state.tasks[i])
        for i in in_slot
    )


def _left_behind(state: ClusterState, service: Service, ended: list[Task], again: list[Task]) -> tuple[TaskId, ...]:
    """Return what runs on where no task may stay until one of `ended` would: their seats give up with all they have."""
    index = state.service_tasks[service.id]
    if not index.doubled:
        return ()
    followed = dict.fromkeys(task.seat for task in again)
    gone = dict.fromkeys(task.id for task in ended)
    left = {
        i: None
        for task in ended
        if task.seat not in followed and not succeeded(state, service, task)
        for i in index.wanted_by_seat.get(task.seat, ())
        if i not in gone and not may_stay(state, state.tasks[i])
    }
    return tuple(islice(left, ROWS_MAX))


def should_restart(state: ClusterState, task: Task) -> bool:
    """Whether a task that ended by itself is followed by another."""
    policy = restarts_of(state.template_of(task).spec)
    if policy.condition == "none" or (policy.condition == "on-failure" and task.state is TaskState.COMPLETE):
        return False
    return not policy.attempts or task.origin.attempt < policy.attempts


def replacements(
    service: Service, tasks: list[Task], now: Instant, ids: Ids, *, delay: int, wait_for_old: bool = False
) -> list[Command]:
    """Return the commands that put a new task where each of `tasks` was.

    With `wait_for_old` the new one starts when the old one has stopped; else after `delay` nanoseconds.
    """
    return [
        create(
            service,
            [task.seat for task in tasks],
            ids,
            desired=TaskState.READY if delay or wait_for_old else TaskState.RUNNING,
            replaces=tasks,
            start_at=EPOCH if wait_for_old or not delay else Instant(now + delay),
            attempts=[attempt_of(service, task) for task in tasks],
        )
    ]


def attempt_of(service: Service, replaced: Task) -> int:
    """Return which restart of the present template its replacement is."""
    return replaced.origin.attempt + 1 if replaced.origin.spec_version == service.spec_version else 0
