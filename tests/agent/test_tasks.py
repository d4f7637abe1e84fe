"""A task on its node: what runs, what ends, and what is told of it."""

import asyncio

import pytest
from skep.model.states import TaskState
from skep.runtime.simulated import Behaviour

from tests.agent.running import running
from tests.agent.scripted import task, wanting
from tests.agent.virtual import START_NS


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_an_assigned_task_runs_and_is_told_with_its_container() -> None:
    async with running() as rig:
        rig.link.complete(task())
        status = await rig.link.until_state(TaskState.RUNNING)
        assert status.message == "started"
        assert status.at == START_NS
        assert status.container is not None
        assert len(status.container.container_id) == 64
        assert status.container.exit_code == 0


async def test_states_that_take_time_are_told_in_order_with_their_messages() -> None:
    async with running(Behaviour(pull_s=1, start_s=1, healthy_s=2, run_s=9)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.COMPLETE)
        assert [(status.state.word, status.message) for status in rig.link.statuses()] == [
            ("preparing", "preparing"),
            ("starting", "starting"),
            ("running", "started"),
            ("complete", "finished"),
        ]
        assert [(status.at - START_NS) / 1e9 for status in rig.link.statuses()] == [0, 1, 4, 11]


async def test_a_container_is_told_of_from_starting_on() -> None:
    async with running(Behaviour(pull_s=1, start_s=1)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        assert [status.container is not None for status in rig.link.statuses()] == [False, True, True]


async def test_a_task_that_is_wanted_ready_is_prepared_and_held_until_it_is_wanted_running() -> None:
    async with running(Behaviour(pull_s=1)) as rig:
        rig.link.complete(task(desired=TaskState.READY))
        assert (await rig.link.until_state(TaskState.READY)).message == "prepared"
        await asyncio.sleep(60)
        assert rig.link.states() == [TaskState.PREPARING, TaskState.READY]
        rig.link.change(task(desired=TaskState.RUNNING))
        await rig.link.until_state(TaskState.RUNNING)


async def test_a_task_that_was_wanted_running_while_it_was_prepared_is_not_held() -> None:
    async with running(Behaviour(pull_s=1)) as rig:
        rig.link.complete(task(desired=TaskState.READY))
        await rig.link.until_state(TaskState.PREPARING)
        rig.link.change(task(desired=TaskState.RUNNING))
        await rig.link.until_state(TaskState.RUNNING)


async def test_a_task_that_can_never_run_is_rejected_with_the_executors_words() -> None:
    async with running(Behaviour(pull_s=1, reject="No such image: web:latest")) as rig:
        rig.link.complete(task())
        status = await rig.link.until_state(TaskState.REJECTED)
        assert (status.message, status.err) == ("preparing", "No such image: web:latest")


async def test_a_task_that_does_not_start_has_failed_starting() -> None:
    async with running(Behaviour(fail_start="starting container failed: no")) as rig:
        rig.link.complete(task())
        status = await rig.link.until_state(TaskState.FAILED)
        assert (status.message, status.err) == ("starting", "starting container failed: no")


async def test_a_task_that_ends_badly_has_failed_with_its_exit_code() -> None:
    async with running(Behaviour(run_s=3, exit_code=3)) as rig:
        rig.link.complete(task())
        status = await rig.link.until_state(TaskState.FAILED)
        assert (status.message, status.err) == ("started", "task: non-zero exit (3)")
        assert status.container is not None
        assert status.container.exit_code == 3


async def test_a_task_that_a_test_lets_exit_ends_then() -> None:
    async with running() as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.executor.exit(task().id, 9)
        assert (await rig.link.until_state(TaskState.FAILED)).err == "task: non-zero exit (9)"


@pytest.mark.parametrize("desired", [TaskState.SHUTDOWN, TaskState.REMOVE])
async def test_a_task_that_is_not_wanted_any_more_is_stopped_and_told_shut_down(desired: TaskState) -> None:
    async with running(Behaviour(stop_s=2)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        began_s = now_s()
        rig.link.change(wanting(task(), desired))
        status = await rig.link.until_state(TaskState.SHUTDOWN)
        assert status.message == "shutdown"
        assert status.container is not None
        assert status.container.exit_code == 0
        assert now_s() - began_s == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("grace_s", "expected_s"), [(None, 10), (3, 3)])
async def test_a_task_that_does_not_stop_is_killed_after_its_grace_or_10_s(
    grace_s: float | None, expected_s: float
) -> None:
    async with running(Behaviour(stop_s=99)) as rig:
        rig.link.complete(task(grace_s=grace_s))
        await rig.link.until_state(TaskState.RUNNING)
        began_s = now_s()
        rig.link.change(task(desired=TaskState.SHUTDOWN, grace_s=grace_s))
        status = await rig.link.until_state(TaskState.SHUTDOWN)
        assert status.container is not None
        assert status.container.exit_code == 137
        assert now_s() - began_s == pytest.approx(expected_s, abs=0.01)


@pytest.mark.parametrize("behaviour", [Behaviour(start_s=60), Behaviour(healthy_s=60)])
async def test_a_task_is_stopped_while_it_starts(behaviour: Behaviour) -> None:
    async with running(behaviour) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.STARTING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN, within_s=1)
        await asyncio.sleep(99)
        assert rig.link.states() == [TaskState.STARTING, TaskState.SHUTDOWN]


async def test_a_task_that_had_not_started_is_shut_down_at_once() -> None:
    async with running(Behaviour(pull_s=60, stop_s=9)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.PREPARING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN, within_s=0.01)


async def test_a_task_that_is_held_is_shut_down_at_once() -> None:
    async with running(Behaviour(stop_s=9)) as rig:
        rig.link.complete(task(desired=TaskState.READY))
        await rig.link.until_state(TaskState.READY)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN, within_s=0.01)


async def test_a_task_that_arrives_unwanted_is_shut_down_and_never_runs() -> None:
    async with running() as rig:
        rig.link.complete(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN)
        assert rig.link.states() == [TaskState.SHUTDOWN]


async def test_a_task_that_becomes_unwanted_in_the_breath_it_came_is_shut_down() -> None:
    async with running() as rig:
        rig.link.complete()
        await rig.link.until(lambda: rig.link.heartbeats > 0)
        rig.link.change(task())
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN)
        assert rig.link.states() == [TaskState.SHUTDOWN]


async def test_a_task_that_ended_before_its_stop_was_asked_stays_as_it_ended() -> None:
    async with running(Behaviour(run_s=1)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.COMPLETE)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await asyncio.sleep(30)
        assert rig.link.states()[-1] is TaskState.COMPLETE


async def test_a_task_that_ends_by_itself_while_it_stops_is_shut_down() -> None:
    async with running(Behaviour(stop_s=5)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await asyncio.sleep(1)
        rig.executor.exit(task().id, 3)
        assert (await rig.link.until_state(TaskState.SHUTDOWN)).container is not None
        assert TaskState.FAILED not in rig.link.states()


async def test_what_is_wanted_never_goes_back() -> None:
    async with running(Behaviour(stop_s=5)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        rig.link.change(task(desired=TaskState.RUNNING))
        await rig.link.until_state(TaskState.SHUTDOWN)


@pytest.mark.parametrize("desired", [TaskState.RUNNING, TaskState.SHUTDOWN])
@pytest.mark.parametrize(("stored", "message"), [(TaskState.STARTING, "starting"), (TaskState.RUNNING, "started")])
async def test_a_task_that_ran_under_an_earlier_agent_has_failed_and_does_not_run(
    stored: TaskState, message: str, desired: TaskState
) -> None:
    async with running() as rig:
        rig.link.complete(task("abc", stored=stored, desired=desired))
        status = await rig.link.until_state(TaskState.FAILED, "abc")
        assert (status.message, status.err) == (message, "No such container: web.1.abc")
        await asyncio.sleep(9)
        assert rig.link.states("abc") == [TaskState.FAILED]


async def test_a_task_that_an_earlier_agent_had_not_started_is_run_anew_and_never_told_lower() -> None:
    async with running(Behaviour(pull_s=1, start_s=1)) as rig:
        rig.link.complete(task(stored=TaskState.READY))
        await rig.link.until_state(TaskState.RUNNING)
        assert rig.link.states() == [TaskState.STARTING, TaskState.RUNNING]


async def test_a_task_whose_end_is_stored_is_kept_and_nothing_is_told_of_it() -> None:
    async with running() as rig:
        rig.link.complete(task("old", stored=TaskState.COMPLETE), task("new"))
        await rig.link.until_state(TaskState.RUNNING, "new")
        rig.link.end_session()
        await asyncio.sleep(9)
        assert rig.link.states("old") == []
