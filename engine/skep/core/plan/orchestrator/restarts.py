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
from skep.core.state import ClusterState
from skep.model.ids import EPOCH, Instant, ServiceId
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
    commands.append(DesireTasks(tuple(t.id for t in ended), TaskState.SHUTDOWN))
    cause = max(t.version for t in ended)
    more = len(tasks) > len(ended) + len(early)
    return Plan(tuple(commands), cause=cause, wake_at=wake_at, more=more)


def _is_early(task: Task, now: Instant) -> bool:
    """Whether a task ended while it was still to wait: rejected as it was prepared (recorded in scenario 40)."""
    return task.desired is TaskState.READY and task.origin.start_at > now


def succeeded(state: ClusterState, service: Service, task: Task) -> bool:
    """Whether an update already gave the slot another task. One of the present template is followed by its like."""
    in_slot = state.service_tasks[service.id].wanted_by_seat.get(task.seat, ())
    present = task.origin.spec_version == service.spec_version
    return any(
        i != task.id and (not present or state.tasks[i].origin.spec_version == service.spec_version) for i in in_slot
    )


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
    current = service.spec_version
    return [
        create(
            service,
            [task.seat for task in tasks],
            ids,
            desired=TaskState.READY if delay or wait_for_old else TaskState.RUNNING,
            replaces=tasks,
            start_at=EPOCH if wait_for_old or not delay else Instant(now + delay),
            attempts=[t.origin.attempt + 1 if t.origin.spec_version == current else 0 for t in tasks],
        )
    ]
