"""What tasks print: kept, and published to whoever subscribed."""

import asyncio
from collections.abc import Sequence

import pytest
from skep.model.ids import Instant, ServiceId, TaskId
from skep.model.states import TaskState
from skep.ports.lines import Line, Stream
from skep.ports.link import LineSelector
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviour, Printed

from tests.agent.running import Rig, running
from tests.agent.scripted import NODE, task
from tests.agent.virtual import START_NS


def line(text: str, at_s: float = 0, stream: Stream = Stream.STDOUT) -> Line:
    return Line(Instant(START_NS + round(at_s * 1e9)), stream, f"{text}\n".encode())


async def prints(rig: Rig, name: str, *texts: str) -> None:
    await rig.executor.print(TaskId(name), [Printed(text) for text in texts])


async def runs(rig: Rig, *names: str, service: str = "web") -> None:
    rig.link.complete(*(task(name, service=service) for name in names))
    await rig.link.until_state(TaskState.RUNNING, names[-1])


async def stored(**tasks: Sequence[Line]) -> MemoryLineStore:
    store = MemoryLineStore()
    for name, lines in tasks.items():
        await store.append(TaskId(name), lines)
    return store


async def test_lines_carry_their_task_service_and_node() -> None:
    async with running(lines=await stored(a=[line("one")])) as rig:
        await runs(rig, "a")
        rig.link.subscribe()
        await rig.link.until(rig.link.closed)
        published = rig.link.published[0][1][0]
        assert (published.task_id, published.service_id, published.node_id) == ("a", "web", NODE)
        assert published.line == line("one")


async def test_what_a_task_prints_is_kept_in_order() -> None:
    lines = (Printed("one"), Printed("two", after_s=2, stream=Stream.STDERR), Printed("three", after_s=3))
    async with running(Behaviour(lines=lines, run_s=4)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.COMPLETE)
        assert await rig.lines.read(TaskId("t1")) == [
            (1, line("one")),
            (2, line("two", 2, Stream.STDERR)),
            (3, line("three", 3)),
        ]


async def test_the_past_of_several_tasks_comes_in_order_of_time() -> None:
    store = await stored(a=[line("a1", 1), line("a5", 5), line("a6", 6)], b=[line("b2", 2), line("b7", 7)])
    async with running(lines=store) as rig:
        await runs(rig, "a", "b")
        rig.link.subscribe()
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == ["a1", "b2", "a5", "a6", "b7"]


async def test_a_past_of_many_lines_comes_whole_and_in_batches() -> None:
    store = await stored(
        a=[line(f"{number:05}", number) for number in range(0, 3000, 2)],
        b=[line(f"{number:05}", number) for number in range(1, 3000, 2)],
    )
    async with running(lines=store) as rig:
        await runs(rig, "a", "b")
        rig.link.subscribe()
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == [f"{number:05}" for number in range(3000)]
        assert max(len(lines) for _, lines, _ in rig.link.published) == 256


@pytest.mark.parametrize(
    ("tail", "expected"), [(None, ["1", "2", "3"]), (2, ["2", "3"]), (0, []), (9, ["1", "2", "3"])]
)
async def test_tail_gives_the_last_lines_of_each_task(tail: int | None, expected: list[str]) -> None:
    async with running(lines=await stored(a=[line("1", 1), line("2", 2), line("3", 3)])) as rig:
        await runs(rig, "a")
        rig.link.subscribe(tail=tail)
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == expected


async def test_since_gives_lines_of_that_instant_and_later() -> None:
    async with running(lines=await stored(a=[line("1", 1), line("2", 2), line("3", 3)])) as rig:
        await runs(rig, "a")
        rig.link.subscribe(since=line("", 2).at)
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == ["2", "3"]


@pytest.mark.parametrize(("stdout", "stderr", "expected"), [(True, False, ["out"]), (False, True, ["err"])])
async def test_only_streams_that_were_asked_for_come(stdout: bool, stderr: bool, expected: list[str]) -> None:
    async with running(lines=await stored(a=[line("out"), line("err", stream=Stream.STDERR)])) as rig:
        await runs(rig, "a")
        rig.link.subscribe(stdout=stdout, stderr=stderr)
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == expected


async def test_a_subscription_without_any_match_ends_at_once() -> None:
    async with running() as rig:
        await runs(rig, "a")
        rig.link.subscribe(selector=LineSelector(task_ids=(TaskId("elsewhere"),)))
        await rig.link.until(rig.link.closed)
        assert rig.link.published == [("s1", (), True)]


async def test_lines_of_other_tasks_are_not_published() -> None:
    async with running(lines=await stored(a=[line("a")], b=[line("b")])) as rig:
        await runs(rig, "a", "b")
        rig.link.subscribe(selector=LineSelector(task_ids=(TaskId("b"),)))
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == ["b"]


async def test_a_task_that_ended_still_has_its_lines() -> None:
    async with running(Behaviour(lines=(Printed("last words"),), run_s=1)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.COMPLETE)
        rig.link.subscribe()
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == ["last words"]


async def test_a_follower_gets_the_past_then_a_mark_then_what_comes_and_no_end() -> None:
    async with running() as rig:
        await runs(rig, "a", "b")
        await prints(rig, "a", "past")
        rig.link.subscribe(follow=True)
        await asyncio.sleep(1)
        await prints(rig, "b", "new b")
        await asyncio.sleep(1)
        await prints(rig, "a", "new a")
        await asyncio.sleep(1)
        batches = [[each.line.data for each in lines] for _, lines, _ in rig.link.published]
        assert batches == [[b"past\n"], [], [b"new b\n"], [b"new a\n"]]
        assert not rig.link.closed()


async def test_a_follower_that_wants_no_past_gets_only_what_comes() -> None:
    async with running() as rig:
        await runs(rig, "a")
        await prints(rig, "a", "past")
        rig.link.subscribe(follow=True, tail=0)
        await asyncio.sleep(1)
        await prints(rig, "a", "new")
        await asyncio.sleep(1)
        assert rig.link.text() == ["new"]


async def test_nothing_is_missed_or_doubled_between_the_past_and_what_comes() -> None:
    async with running() as rig:
        await runs(rig, "a", "b")
        rig.link.publish_s = 0.01

        async def chatter(name: str) -> None:
            for number in range(500):
                await prints(rig, name, f"{name}{number}")
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(chatter(name))
            await asyncio.sleep(0.2)
            rig.link.subscribe(follow=True)
        await asyncio.sleep(10)
        for name in "ab":
            got = [text for text in rig.link.text() if text.startswith(name)]
            assert got == [f"{name}{number}" for number in range(500)]


async def test_who_follows_a_service_follows_its_tasks_that_come_later_from_their_first_line() -> None:
    async with running(Behaviour(lines=(Printed("hello"),))) as rig:
        await runs(rig, "other", service="db")
        rig.link.subscribe(follow=True, tail=0)
        await asyncio.sleep(1)
        rig.link.change(task("later"))
        await rig.link.until(lambda: rig.link.text() == ["hello"])


async def test_a_subscription_ends_when_it_is_closed() -> None:
    async with running() as rig:
        await runs(rig, "a")
        rig.link.subscribe(follow=True)
        await asyncio.sleep(1)
        rig.link.unsubscribe()
        await asyncio.sleep(1)
        await prints(rig, "a", "unheard")
        await asyncio.sleep(1)
        assert rig.link.text() == []


async def test_a_subscription_ends_when_nobody_wants_its_lines_any_more() -> None:
    async with running() as rig:
        await runs(rig, "a")
        rig.link.subscribe(follow=True)
        await asyncio.sleep(1)
        rig.link.wanted = False
        await prints(rig, "a", "unwanted")
        await asyncio.sleep(1)
        rig.link.wanted = True
        await prints(rig, "a", "too late")
        await asyncio.sleep(1)
        assert rig.link.text() == []
        assert len(rig.link.requests) == 1


async def test_a_subscription_goes_on_in_a_new_session_where_it_was() -> None:
    async with running() as rig:
        await runs(rig, "a")
        await prints(rig, "a", "one")
        rig.link.subscribe(follow=True)
        await asyncio.sleep(1)
        rig.link.end_session()
        await prints(rig, "a", "two")
        await asyncio.sleep(1)
        await prints(rig, "a", "three")
        await asyncio.sleep(1)
        assert rig.link.text() == ["one", "two", "three"]


async def test_a_new_agent_answers_subscriptions_when_it_knows_its_tasks() -> None:
    async with running(lines=await stored(old=[line("from before")])) as rig:
        rig.link.subscribe()
        await asyncio.sleep(3)
        assert rig.link.published == []
        rig.link.complete(task("old", stored=TaskState.COMPLETE))
        await rig.link.until(rig.link.closed)
        assert rig.link.text() == ["from before"]


async def test_one_slow_reader_does_not_hold_up_another() -> None:
    async with running() as rig:
        await runs(rig, "a")
        rig.link.stuck = "s1"
        rig.link.subscribe("s1", follow=True)
        rig.link.subscribe("s2", LineSelector(service_ids=(ServiceId("web"),)), follow=True)
        await prints(rig, "a", "heard")
        await rig.link.until(lambda: rig.link.text("s2") == ["heard"])
        assert rig.link.text("s1") == []


async def test_a_store_that_cannot_be_read_ends_the_subscription_only() -> None:
    class Broken(MemoryLineStore):
        async def last(self, task_id: TaskId) -> int:
            raise OSError(f"no lines of {task_id}: input/output error")

    async with running(lines=Broken()) as rig:
        await runs(rig, "a")
        rig.link.subscribe()
        await rig.link.until(rig.link.closed)
        assert len(rig.link.requests) == 1
