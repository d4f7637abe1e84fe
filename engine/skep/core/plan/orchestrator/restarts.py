"""Restart supervision: a wanted task that ended is replaced after its delay, or its seat gives up.

Rules as in SwarmKit's `design/orchestrators.md` and FACTS, chapter 4: the replacement is made at once, is wanted READY
until the delay (from now) has passed, and the old one is wanted SHUTDOWN. With a window only those restarts count that
were made within it before the task ended.

A job's task is followed until it completes, in a replicated job even with the condition `none`, at once (FACTS 6). On a
node that takes no new tasks nothing follows: a global service's task begins there again when it does.
"""

from itertools import islice

from skep.core.commands import Command, DesireTasks
from skep.core.eligible import Eligibility
from skep.core.events import ROWS_MAX
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan, earliest
from skep.core.policy import Restarts, restarts_of
from skep.core.seats import may_stay
from skep.core.state import ClusterState
from skep.model.ids import EPOCH, Instant, ServiceId, TaskId
from skep.model.service import Service
from skep.model.states import Mode, TaskState
from skep.model.task import Task


def plan_restarts(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
    """Return what becomes of a service's wanted tasks that ended."""
    service = state.services.get(ServiceId(key))
    index = state.service_tasks.get(ServiceId(key))
    if service is None or index is None or not index.ended:
        return CONTENT
    tasks = [state.tasks[i] for i in index.ended]
    if service.spec.kind.is_job:  # what an older run left is removed
        tasks = [task for task in tasks if task.origin.spec_version == service.spec_version]
    # what was refused before its time came is not followed before it: else the log grows as fast as tasks are refused
    early = [t.origin.start_at for t in tasks if _is_early(t, now)]
    ended = list(islice((t for t in tasks if not _is_early(t, now)), ROWS_MAX))
    wake_at = earliest(*early)
    if not ended:
        return Plan(wake_at=wake_at)
    again = [t for t in ended if not succeeded(state, service, t) and should_restart(state, t)]
    if service.spec.kind.per_node:
        again = _on_nodes_that_take_tasks(state, service, again)
    commands: list[Command] = []
    for delay, tasks_so_late in by_delay(state, service, again).items():
        commands += replacements(service, tasks_so_late, now, ids, delay=delay)
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


def _on_nodes_that_take_tasks(state: ClusterState, service: Service, tasks: list[Task]) -> list[Task]:
    wanted = Eligibility(service)
    nodes = ((task, state.nodes.get(task.node_id)) for task in tasks)
    return [task for task, node in nodes if node is not None and wanted.wants(node)]


def by_delay(state: ClusterState, service: Service, tasks: list[Task]) -> dict[int, list[Task]]:
    """Return tasks by the delay after which another follows, in nanoseconds: each template has its own."""
    delays: dict[int, list[Task]] = {}
    for task in tasks:
        policy = restarts_of(state.template_of(task).spec)
        at_once = policy.condition == "none" and service.spec.kind is Mode.REPLICATED_JOB
        delays.setdefault(0 if at_once else policy.delay, []).append(task)
    return delays


def should_restart(state: ClusterState, task: Task) -> bool:
    """Whether a task that ended by itself is followed by another."""
    policy = restarts_of(state.template_of(task).spec)
    service = state.services.get(task.service_id)
    kind = service.spec.kind if service is not None else Mode.REPLICATED
    if policy.condition == "none" and kind is not Mode.REPLICATED_JOB:
        return False
    if policy.condition == "on-failure" and task.state is TaskState.COMPLETE and not kind.is_job:
        return False
    return not policy.attempts or _restarts_before(state, task, policy) < policy.attempts


def _restarts_before(state: ClusterState, task: Task, policy: Restarts) -> int:
    """Return how many restarts of its seat count against a task that ended."""
    if not policy.window:
        return task.origin.attempt
    ended = task.updated_at  # when the manager heard of it: the agent's clock may be another
    restarts = state.restarts.get(task.service_id, {}).get(task.seat, ())
    return sum(ended - policy.window < at <= ended for at in restarts)


def replacements(
    service: Service, tasks: list[Task], now: Instant, ids: Ids, *, delay: int = 0, wait_for_old: bool = False
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
