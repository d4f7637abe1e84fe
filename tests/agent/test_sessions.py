"""Sessions and reports: what an agent says, when, and what it does when the link fails."""

import asyncio
import itertools
from typing import cast

import pytest
from skep.model.states import TaskState
from skep.ports.link import LinkError
from skep.runtime.agent import Agent
from skep.runtime.agent_worker import Worker
from skep.runtime.simulated import Behaviour

from tests.agent.running import running
from tests.agent.scripted import task


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_an_agent_registers_with_its_description_and_address() -> None:
    async with running() as rig:
        await rig.link.until(lambda: rig.agent.node is not None)
        request = rig.link.requests[0]
        assert (request.description.hostname, request.addr, request.session_id) == ("box", "10.0.0.1:1", "")
        assert request.description.resources is not None


async def test_an_agent_keeps_the_newest_node_that_it_was_told() -> None:
    async with running() as rig:
        await rig.link.until(lambda: rig.agent.node is not None)
        rig.link.tell_node("renamed")
        await rig.link.until(lambda: rig.agent.node is not None and rig.agent.node.spec.name == "renamed")


async def test_an_agent_beats_at_the_period_that_it_is_told() -> None:
    async with running() as rig:
        await asyncio.sleep(51)
        assert rig.link.heartbeats == 11


@pytest.mark.parametrize("end", ["end_session", "end_assignments"])
async def test_a_session_that_ends_is_built_anew_with_its_id_and_tasks_go_on(end: str) -> None:
    async with running() as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        began_s = now_s()
        getattr(rig.link, end)()
        await rig.link.until(lambda: len(rig.link.requests) == 2)
        assert now_s() - began_s == pytest.approx(0.1, abs=0.01)
        assert rig.link.requests[1].session_id == "session-1"
        await asyncio.sleep(1)
        assert rig.executor.kept()
        assert rig.link.states() == [TaskState.RUNNING, TaskState.RUNNING]


async def test_an_agent_whose_node_is_no_member_any_more_ends_its_tasks() -> None:
    async with running() as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.removed = True
        rig.link.end_session()
        await rig.link.until(lambda: not rig.executor.kept())


async def test_a_session_that_cannot_be_had_is_tried_again_later_each_time() -> None:
    async with running() as rig:
        rig.link.refuse = True
        tried: list[float] = []
        for number in range(1, 11):
            await rig.link.until_requests(number)
            tried.append(now_s())
        waits = [round(after - before, 1) for before, after in itertools.pairwise(tried)]
        assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0]


async def test_a_session_that_does_not_begin_within_5_s_is_given_up() -> None:
    async with running() as rig:
        rig.link.silent = True
        await rig.link.until(lambda: len(rig.link.requests) == 2)
        assert now_s() == pytest.approx(5.1, abs=0.01)


async def test_what_happened_between_sessions_is_told_in_the_next() -> None:
    async with running(Behaviour(run_s=10, exit_code=4)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.refuse = True
        rig.link.end_session()
        await asyncio.sleep(15)
        assert rig.link.states() == [TaskState.RUNNING]
        rig.link.refuse = False
        await rig.link.until_state(TaskState.FAILED)


async def test_a_report_that_was_lost_with_its_session_is_repeated() -> None:
    async with running() as rig:
        rig.link.report_s = 3
        rig.link.complete(task())
        await rig.link.until(lambda: rig.link.in_flight == 1)
        rig.link.end_session()
        await rig.link.until(lambda: len(rig.link.states()) == 2)


async def test_nothing_is_told_in_a_session_before_all_that_is_assigned_is_known() -> None:
    async with running() as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.assigned = None
        rig.link.end_session()
        await rig.link.until_requests(2)
        await asyncio.sleep(5)
        assert rig.link.states() == [TaskState.RUNNING]
        rig.link.complete(task())
        await rig.link.until(lambda: rig.link.states() == [TaskState.RUNNING, TaskState.RUNNING])


async def test_a_task_that_is_another_nodes_by_now_is_removed_without_a_word_and_the_session_lasts() -> None:
    """So it is after the swarm lost the end of its log, and assigned the task anew."""
    async with running() as rig:
        rig.link.complete(task("a"), task("b"))
        await rig.link.until_state(TaskState.RUNNING, "b")
        rig.link.assigned, rig.link.foreign = None, "a"
        rig.link.end_session()
        await rig.link.until_requests(2)
        await asyncio.sleep(1)
        rig.link.complete(task("b"))
        await rig.link.until(lambda: rig.link.states("b") == [TaskState.RUNNING, TaskState.RUNNING])
        await rig.link.until(lambda: [kept.id for kept in rig.executor.kept()] == ["b"])
        await asyncio.sleep(60)
        assert len(rig.link.requests) == 2
        assert rig.link.states("a") == [TaskState.RUNNING]


async def test_states_that_pass_without_waiting_are_told_as_one_and_all_tasks_in_one_report() -> None:
    async with running() as rig:
        rig.link.complete(*(task(f"t{number}") for number in range(10)))
        await rig.link.until_state(TaskState.RUNNING, "t9")
        assert [[report.status.state for report in batch] for batch in rig.link.batches] == [[TaskState.RUNNING] * 10]


async def test_while_a_report_is_in_flight_the_next_gathers_the_newest_of_each_task() -> None:
    async with running(Behaviour(pull_s=1, start_s=1, run_s=1)) as rig:
        rig.link.report_s = 5
        rig.link.complete(task("a"), task("b"))
        await rig.link.until(lambda: len(rig.link.batches) == 2)
        assert sorted((report.task_id, report.status.state) for report in rig.link.batches[1]) == [
            ("a", TaskState.COMPLETE),
            ("b", TaskState.COMPLETE),
        ]
        assert rig.link.in_flight_max == 1


async def test_a_report_tells_of_a_thousand_tasks_at_most() -> None:
    async with running() as rig:
        rig.link.complete(*(task(f"t{number}") for number in range(2500)))
        await rig.link.until_state(TaskState.RUNNING, "t2499")
        assert [len(batch) for batch in rig.link.batches] == [1000, 1000, 500]


async def test_the_first_report_is_sent_at_once() -> None:
    async with running(Behaviour(pull_s=60)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.PREPARING, within_s=0.01)


async def test_an_agent_whose_session_fails_in_the_breath_it_is_cancelled_ends() -> None:
    """By asyncio's own cancellation, which is said once; a task group lets failures of its children go before it."""
    async with running() as rig:
        await rig.link.until(lambda: rig.agent.node is not None)
        holding = asyncio.create_task(_fails_when_cancelled(rig.agent))
        await asyncio.sleep(1)
        holding.cancel()
        await asyncio.wait([holding], timeout=60)
        ended = holding.cancelled()
        while not holding.done():
            holding.cancel()
            await asyncio.sleep(1)
        assert ended


async def _fails_when_cancelled(agent: Agent) -> None:
    async def hold(_worker: object) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_lose_the_link())
            await asyncio.sleep(1000)

    agent._hold_session = hold  # type: ignore[method-assign, assignment]  # a session whose end is timed to the breath
    await agent._hold_sessions_forever(cast("Worker", None))


async def _lose_the_link() -> None:
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        raise LinkError("the link was lost") from None
