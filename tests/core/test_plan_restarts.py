"""What ends by itself is followed by another, after its delay, if its policy says so (FACTS, chapter 4)."""

import pytest
from skep.core.commands import ReportTasks
from skep.core.events import TasksCreated
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, Instant, ServiceId
from skep.model.service import RestartPolicy, UpdateConfig
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.testing.core_swarm import CoreSwarm


def running(policy: RestartPolicy | None = None, *, replicas: int = 1) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=replicas, restart=policy))
    swarm.quiet()
    assert swarm.running(web) == replicas
    return swarm, web


def end(swarm: CoreSwarm, web: ServiceId, state: TaskState) -> Task:
    """End the wanted task of the first slot; return what is wanted there then, or the same."""
    task = swarm.tasks(web, wanted=True)[0]
    swarm.report(task, state, err="task: non-zero exit (1)")
    swarm.quiet()
    return (swarm.tasks(web, wanted=True) or [task])[-1]


@pytest.mark.parametrize(
    ("condition", "state", "followed"),
    [
        ("any", TaskState.COMPLETE, True),
        ("any", TaskState.FAILED, True),
        ("any", TaskState.REJECTED, True),
        ("", TaskState.FAILED, True),
        ("on-failure", TaskState.COMPLETE, False),
        ("on-failure", TaskState.FAILED, True),
        ("on-failure", TaskState.REJECTED, True),
        ("none", TaskState.COMPLETE, False),
        ("none", TaskState.FAILED, False),
    ],
)
def test_the_condition_says_whether_another_follows(condition: str, state: TaskState, *, followed: bool) -> None:
    swarm, web = running(RestartPolicy(condition=condition))
    ended = swarm.tasks(web)[0]
    after = end(swarm, web, state)
    assert (after.id != ended.id) is followed
    assert swarm.state.tasks[ended.id].desired is TaskState.SHUTDOWN
    assert (swarm.slots(web) == [1]) is followed
    swarm.check()


def test_what_follows_is_ready_until_the_delay_is_over_and_then_running() -> None:
    swarm, web = running(RestartPolicy(delay=3 * NANOSECONDS))
    follower = end(swarm, web, TaskState.FAILED)
    assert (follower.desired, follower.state) == (TaskState.READY, TaskState.READY)
    swarm.advance(2.999)
    assert swarm.state.tasks[follower.id].desired is TaskState.READY
    swarm.advance(0.001)
    assert swarm.state.tasks[follower.id].state is TaskState.RUNNING
    swarm.check()


def test_the_delay_is_five_seconds_where_none_was_said() -> None:
    swarm, web = running()
    follower = end(swarm, web, TaskState.FAILED)
    assert follower.origin.start_at == swarm.now + 5 * NANOSECONDS
    swarm.check()


def test_the_delay_is_that_of_the_template_that_ended() -> None:
    """As its condition and its attempts are; an update that gives another does not reach it yet."""
    swarm, web = running(RestartPolicy(delay=3 * NANOSECONDS), replicas=2)
    one_at_a_time = UpdateConfig(parallelism=1, delay=3600 * NANOSECONDS)
    swarm.update(web, service_spec("web", "demo", replicas=2, restart=RestartPolicy(delay=0), update=one_at_a_time))
    swarm.quiet()
    present = swarm.service(web).spec_version
    old, new = sorted(swarm.tasks(web, wanted=True), key=lambda task: task.origin.spec_version == present)
    swarm.report(old, TaskState.FAILED)
    swarm.report(new, TaskState.FAILED)
    swarm.settle()
    delays = {t.origin.replaces: t.origin.start_at and t.origin.start_at - swarm.now for t in swarm.tasks(web)}
    assert (delays[old.id], delays[new.id]) == (3 * NANOSECONDS, 0)
    swarm.check()


def test_without_a_delay_what_follows_runs_at_once() -> None:
    swarm, web = running(RestartPolicy(delay=0))
    follower = end(swarm, web, TaskState.FAILED)
    assert follower.origin.start_at == 0
    assert follower.state is TaskState.RUNNING
    swarm.check()


def test_what_follows_names_what_it_replaces_and_why() -> None:
    swarm, web = running(replicas=2)
    ended = swarm.tasks(web)[0]
    swarm.report(ended, TaskState.FAILED)
    failed_at = swarm.state.position
    swarm.settle()
    record = next(r for r in swarm.records if any(isinstance(e, TasksCreated) and e.replaces for e in r.events))
    assert record.cause == failed_at
    assert swarm.tasks(web)[-1].origin.replaces == ended.id
    swarm.check()


def test_two_attempts_are_three_runs_and_then_the_slot_gives_up() -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=2))
    swarm.broken["demo"] = "task: non-zero exit (1)"
    end(swarm, web, TaskState.FAILED)
    swarm.advance(60)
    assert len(swarm.tasks(web)) == 3
    assert swarm.slots(web) == []
    assert list(swarm.state.given_up[web]) == [1]
    swarm.check()


def test_attempts_are_counted_in_each_slot() -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=1), replicas=2)
    swarm.broken["demo"] = "task: non-zero exit (1)"
    end(swarm, web, TaskState.FAILED)
    assert swarm.slots(web) == [2]
    assert swarm.running(web) == 1
    swarm.check()


def test_a_new_template_begins_to_count_anew() -> None:
    swarm, web = running(RestartPolicy(condition="none"))
    end(swarm, web, TaskState.FAILED)
    swarm.update(web, service_spec("web", "better", restart=RestartPolicy(condition="none")))
    swarm.advance(30)
    assert swarm.running(web) == 1
    assert not swarm.state.given_up
    swarm.check()


def test_a_task_that_was_not_wanted_any_more_is_not_followed() -> None:
    swarm, web = running(replicas=2)
    victim = next(t for t in swarm.tasks(web) if t.slot == 2)
    swarm.scale(web, 1)
    swarm.settle()
    swarm.report(victim, TaskState.FAILED)
    swarm.advance(30)
    assert swarm.slots(web) == [1]
    swarm.check()


def test_a_task_refused_before_its_time_is_not_followed_before_it() -> None:
    """Rejected while it is prepared, within the delay: the next one is made when the delay is over, not at once."""
    swarm, web = running(RestartPolicy(condition="any", delay=5 * NANOSECONDS))
    first = end(swarm, web, TaskState.FAILED)
    assert first.desired is TaskState.READY
    made = len(swarm.events(TasksCreated))
    swarm.report(first, TaskState.REJECTED, err="No such image: demo")
    swarm.quiet()
    swarm.advance(4)
    assert len(swarm.events(TasksCreated)) == made
    assert swarm.state.tasks[first.id].desired is TaskState.READY
    swarm.advance(2)
    assert len(swarm.events(TasksCreated)) == made + 1
    assert swarm.state.tasks[first.id].desired is TaskState.SHUTDOWN
    swarm.check()


def fail_at(swarm: CoreSwarm, service_id: ServiceId, *seconds: float) -> None:
    """Let the one task of a service fail at each of these instants, counted from the first of all."""
    begin = swarm.now
    for second in seconds:
        swarm.advance(second - (swarm.now - begin) / NANOSECONDS)
        swarm.report(swarm.tasks(service_id, wanted=True)[-1], TaskState.FAILED)
        swarm.quiet()


@pytest.mark.parametrize(
    ("seconds", "runs_on"),
    [
        ((1, 2, 3), False),
        ((1, 2, 12), True),  # the first restart is out of the window, which begins after it
        ((1, 2, 11), True),
        ((1, 2, 10.9), False),
        ((1, 12, 23, 34, 45), True),
        ((1, 12, 13, 14), False),
    ],
)
def test_with_a_window_only_restarts_within_it_count(seconds: tuple[float, ...], runs_on: bool) -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=2, window=10 * NANOSECONDS))
    fail_at(swarm, web, *seconds)
    assert swarm.running(web) == runs_on
    assert bool(swarm.state.given_up) is not runs_on
    swarm.check()


def test_without_a_window_all_restarts_count() -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=2))
    fail_at(swarm, web, 1, 1000, 100_000)
    assert swarm.running(web) == 0
    swarm.check()


@pytest.mark.parametrize("skew_s", [-3600, 3600])
def test_a_window_goes_by_the_managers_clock_not_by_an_agents(skew_s: int) -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=2, window=10 * NANOSECONDS))
    for _ in range(3):
        task = swarm.tasks(web, wanted=True)[-1]
        status = TaskStatus(TaskState.FAILED, Instant(swarm.now + skew_s * NANOSECONDS), "started")
        swarm.submit(ReportTasks(task.node_id, (task.id,), (status,)))
        swarm.advance(1)
    assert swarm.running(web) == 0
    assert list(swarm.state.given_up[web]) == [1]
    swarm.check()


def test_a_window_counts_in_each_slot() -> None:
    swarm, web = running(RestartPolicy(delay=0, max_attempts=1, window=10 * NANOSECONDS), replicas=2)
    for slot in (1, 2):
        swarm.report(next(t for t in swarm.tasks(web, wanted=True) if t.slot == slot), TaskState.FAILED)
        swarm.quiet()
    assert swarm.running(web) == 2
    swarm.check()


def test_a_new_template_forgets_the_restarts_within_the_window() -> None:
    policy = RestartPolicy(delay=0, max_attempts=1, window=100 * NANOSECONDS)
    swarm, web = running(policy)
    fail_at(swarm, web, 1)
    swarm.update(web, service_spec("web", "better", restart=policy))
    swarm.advance(10)
    swarm.report(swarm.tasks(web, wanted=True)[-1], TaskState.FAILED)
    swarm.quiet()
    assert swarm.running(web) == 1
    swarm.check()
