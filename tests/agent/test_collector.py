"""One stream of what several nodes publish."""

import asyncio
import contextlib
import random

import pytest
from skep.lines.collector import BYTES_HELD_MAX, LineCollector
from skep.lines.merge import TimeOrder
from skep.model.ids import Instant, NodeId, ServiceId, TaskId
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream
from skep.ports.link import LineOptions, PublishedLine

A, B = NodeId("a"), NodeId("b")
PAST = LineOptions()
FOLLOW = LineOptions(follow=True)


def line(node: NodeId, at: int, *, task: str = "") -> PublishedLine:
    text = f"{node}{at}".encode()
    return PublishedLine(TaskId(task or f"task-{node}"), ServiceId("s"), node, Line(Instant(at), Stream.STDOUT, text))


def texts(lines: list[PublishedLine]) -> list[str]:
    return [each.line.data.decode() for each in lines]


class Reader:
    """Reads a stream to its end, or until it is cancelled."""

    def __init__(self, collector: LineCollector) -> None:
        self.collector = collector
        self.lines: list[PublishedLine] = []

    async def read(self) -> list[PublishedLine]:
        async for each in self.collector.stream():
            self.lines.append(each)
        return self.lines


def test_the_oldest_of_all_first_lines_comes_first() -> None:
    order = TimeOrder()
    for each in (line(A, 3), line(A, 5), line(B, 1), line(B, 4)):
        order.push(each)
    assert texts([order.pop() for _ in range(4)]) == ["b1", "a3", "b4", "a5"]
    assert not order


def test_a_tasks_own_lines_keep_their_order_even_where_its_clock_went_back() -> None:
    order = TimeOrder()
    for each in (line(A, 5), line(A, 2), line(B, 4)):
        order.push(each)
    assert texts([order.pop() for _ in range(3)]) == ["b4", "a5", "a2"]


async def test_the_past_of_all_nodes_comes_in_order_of_time() -> None:
    collector = LineCollector(PAST, [A, B], deadline_s=5)
    await collector.publish(A, [line(A, 1), line(A, 4)], close=True)
    await collector.publish(B, [line(B, 2), line(B, 3)], close=False)
    await collector.publish(B, [line(B, 5)], close=True)
    assert texts(await Reader(collector).read()) == ["a1", "b2", "b3", "a4", "b5"]
    assert collector.silent == ()


async def test_tasks_of_one_node_that_sends_them_one_after_the_other_come_in_order_of_time() -> None:
    collector = LineCollector(PAST, [A], deadline_s=5)
    await collector.publish(A, [line(A, at, task="x") for at in (1, 3, 5)], close=False)
    await collector.publish(A, [line(A, at, task="y") for at in (2, 4)], close=True)
    assert texts(await Reader(collector).read()) == ["a1", "a2", "a3", "a4", "a5"]


async def test_a_past_of_no_nodes_is_empty() -> None:
    assert await Reader(LineCollector(PAST, [], deadline_s=5)).read() == []


async def test_a_node_that_does_not_answer_is_named_at_the_end() -> None:
    collector = LineCollector(PAST, [A, B], deadline_s=5)
    await collector.publish(A, [line(A, 7)], close=True)
    lines = await Reader(collector).read()
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.01)
    assert texts(lines[:1]) == ["a7"]
    assert lines[1].node_id == B
    assert lines[1].line.at == 7
    assert b"node b did not answer within 5 s" in lines[1].line.data
    assert [silent.node_id for silent in collector.silent] == [B]


async def test_a_node_that_is_heard_now_and_then_is_waited_for() -> None:
    collector = LineCollector(PAST, [A], deadline_s=5)
    reader = Reader(collector)
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.read())
        for at in range(5):
            await asyncio.sleep(4)
            await collector.publish(A, [line(A, at)], close=at == 4)
    assert texts(reader.lines) == ["a0", "a1", "a2", "a3", "a4"]


async def test_a_node_waits_while_many_bytes_of_it_are_held_though_they_are_few_lines() -> None:
    collector = LineCollector(PAST, [A], deadline_s=5)
    long = PublishedLine(TaskId("t"), ServiceId("s"), A, Line(Instant(1), Stream.STDOUT, bytes(LINE_BYTES_MAX)))
    batch = [long] * 16
    sent = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                await collector.publish(A, batch, close=False)
                sent += len(batch) * LINE_BYTES_MAX
    assert sent == BYTES_HELD_MAX
    async with asyncio.TaskGroup() as group:
        last = group.create_task(collector.publish(A, batch, close=True))
        read = await Reader(collector).read()
    assert last.result()
    assert len(read) * LINE_BYTES_MAX == sent + len(batch) * LINE_BYTES_MAX


async def test_a_node_waits_while_much_of_it_is_held_and_all_comes_in_order() -> None:
    draw = random.Random(7)  # noqa: S311 - a seeded shuffle of a test's times
    nodes = [NodeId(f"n{number}") for number in range(4)]
    collector = LineCollector(PAST, nodes, deadline_s=5)
    waited = 0

    async def send(node: NodeId) -> None:
        nonlocal waited
        at, loop = 0, asyncio.get_running_loop()
        for _ in range(200):
            batch = []
            for _ in range(250):
                at += draw.randrange(1, 9)
                batch.append(line(node, at))
            began_s = loop.time()
            assert await collector.publish(node, batch, close=False)
            waited += loop.time() > began_s
        await collector.publish(node, (), close=True)

    got: list[int] = []
    async with asyncio.TaskGroup() as group:
        for node in nodes:
            group.create_task(send(node))
        await asyncio.sleep(1)
        async for each in collector.stream():
            got.append(each.line.at)
            if len(got) % 1000 == 0:
                await asyncio.sleep(0.01)
    assert len(got) == 4 * 200 * 250
    assert got == sorted(got)
    assert waited > 0


async def test_a_reader_that_goes_is_told_to_who_publishes() -> None:
    collector = LineCollector(FOLLOW, [A], deadline_s=5)
    stream = collector.stream()
    assert await collector.publish(A, [line(A, 1)], close=False)
    assert await collector.publish(A, (), close=False)
    assert (await anext(stream)).line.at == 1
    await stream.aclose()
    assert not await collector.publish(A, [line(A, 2)], close=False)


async def test_who_waits_for_room_is_let_go_when_the_reader_goes() -> None:
    collector = LineCollector(PAST, [A, B], deadline_s=5)
    answers: list[bool] = []

    async def send() -> None:
        while await collector.publish(A, [line(A, at) for at in range(1000)], close=False):
            pass
        answers.append(False)

    async def read() -> None:
        async for _ in collector.stream():
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        reader = group.create_task(read())
        await asyncio.sleep(1)
        reader.cancel()
    assert answers == [False]


async def test_a_follower_gets_the_past_in_order_once_all_have_told_theirs_then_what_comes() -> None:
    collector = LineCollector(FOLLOW, [A, B], deadline_s=5)
    reader = Reader(collector)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.read())
        await collector.publish(A, [line(A, 3)], close=False)
        await collector.publish(A, (), close=False)
        await asyncio.sleep(0.1)
        assert reader.lines == []
        await collector.publish(B, [line(B, 1)], close=False)
        await collector.publish(B, (), close=False)
        await asyncio.sleep(0.1)
        assert texts(reader.lines) == ["b1", "a3"]
        await collector.publish(B, [line(B, 9)], close=False)
        await asyncio.sleep(0.1)
        await collector.publish(A, [line(A, 8)], close=False)
        await asyncio.sleep(0.1)
        assert texts(reader.lines) == ["b1", "a3", "b9", "a8"]
        reading.cancel()


async def test_a_follower_gets_what_is_there_after_half_a_second() -> None:
    collector = LineCollector(FOLLOW, [A, B], deadline_s=5)
    reader = Reader(collector)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.read())
        await collector.publish(A, [line(A, 3)], close=False)
        await asyncio.sleep(0.4)
        assert reader.lines == []
        await asyncio.sleep(0.2)
        assert texts(reader.lines) == ["a3"]
        reading.cancel()


async def test_a_follower_hears_of_nodes_that_come_later() -> None:
    collector = LineCollector(FOLLOW, [A], deadline_s=5)
    reader = Reader(collector)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.read())
        await asyncio.sleep(60)
        await collector.publish(B, [line(B, 1)], close=False)
        await asyncio.sleep(0.1)
        assert texts(reader.lines) == ["b1"]
        reading.cancel()


async def test_a_node_cannot_speak_for_another() -> None:
    collector = LineCollector(PAST, [A], deadline_s=5)
    await collector.publish(A, [line(B, 1), line(A, 2)], close=True)
    assert texts(await Reader(collector).read()) == ["a2"]
