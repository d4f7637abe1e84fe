"""What a task prints: line by line, in order, whole to the end, bounded while it waits."""

# ruff: noqa: ASYNC230  # a test may look at the disk by itself

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from process_harness import Lines, new_marker, running, shell, task_of, until_gone
from skep.model.ids import TaskId
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream
from skep_adapters.process.executor import ProcessExecutor
from skep_adapters.process.output import BATCH_LINES_MAX


async def test_lines_have_stream_and_time_and_their_newline_if_they_had_one(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        began = time.time_ns()
        controller = await cluster.started(shell("echo out; sleep 0.1; echo err >&2; sleep 0.1; printf end"))
        await controller.wait()
        lines = cluster.lines.of(controller.task_id)
        assert [(line.stream, line.data) for line in lines] == [
            (Stream.STDOUT, b"out\n"),
            (Stream.STDERR, b"err\n"),
            (Stream.STDOUT, b"end"),
        ]
        times = [line.at for line in lines]
        assert times == sorted(times)
        assert began <= times[0] < times[1] < times[2] <= time.time_ns()


async def test_all_lines_are_handed_over_in_order_before_wait_returns(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("seq 1 50000"))
        await controller.wait()
        assert cluster.lines.text(controller.task_id) == "".join(f"{n}\n" for n in range(1, 50001))
        assert max(len(lines) for _, lines in cluster.lines.batches) <= BATCH_LINES_MAX


async def test_batches_are_few_while_lines_are_few(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("for i in $(seq 60); do echo $i; sleep 0.005; done"))
        began = time.monotonic()
        await controller.wait()
        assert len(cluster.lines.of(controller.task_id)) == 60
        assert len(cluster.lines.batches) <= (time.monotonic() - began) / 0.05 + 3


async def test_a_first_line_does_not_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("echo up; sleep 1000"))
        line = await cluster.lines.first(controller.task_id)
        assert time.time_ns() - line.at < 500_000_000


async def test_long_lines_are_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        script = f"head -c {2 * LINE_BYTES_MAX + 10} /dev/zero | tr '\\0' x; echo; echo short"
        controller = await cluster.started(shell(script))
        await controller.wait()
        lines = [line.data for line in cluster.lines.of(controller.task_id)]
        assert b"".join(lines) == b"x" * (2 * LINE_BYTES_MAX + 10) + b"\nshort\n"
        assert [len(line) for line in lines] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 11, 6]


async def test_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell(r"printf '\377\000\r\n\n'"))
        await controller.wait()
        assert [line.data for line in cluster.lines.of(controller.task_id)] == [b"\xff\x00\r\n", b"\n"]


async def test_a_sink_that_is_slow_holds_the_task_back_and_loses_nothing(tmp_path: Path) -> None:
    seen: list[int] = []
    go = asyncio.Event()

    async def sink(_task_id: TaskId, lines: Sequence[Line]) -> None:
        await go.wait()
        seen.extend(int(line.data) for line in lines)

    executor = ProcessExecutor(tmp_path)
    await executor.open(sink)
    mark = tmp_path / "done"
    task = task_of(shell(f"seq 1 300000; touch {mark}"))
    controller = executor.controller(task, secrets={}, configs={})
    await controller.prepare()
    await controller.start()
    await asyncio.sleep(0.5)
    assert not mark.exists()
    go.set()
    await controller.wait()
    assert seen == list(range(1, 300001))
    await executor.aclose()


async def test_what_a_sink_raises_costs_lines_but_not_the_task(tmp_path: Path) -> None:
    async def sink(_task_id: TaskId, _lines: Sequence[Line]) -> None:
        raise RuntimeError

    executor = ProcessExecutor(tmp_path)
    await executor.open(sink)
    controller = executor.controller(task_of(shell("seq 1 1000")), secrets={}, configs={})
    await controller.prepare()
    await controller.start()
    await controller.wait()
    await executor.aclose()


async def test_a_pipe_that_somebody_outside_holds_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("echo up; sleep 0.3"))
        await cluster.lines.first(controller.task_id)
        assert controller.status is not None
        with Path(f"/proc/{controller.status.pid}/fd/1").open("wb"):
            began = time.monotonic()
            await controller.wait()
            assert time.monotonic() - began < 2.5


async def test_a_child_that_holds_the_pipe_ends_with_the_task(tmp_path: Path) -> None:
    marker = new_marker()
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell(f"setsid sleep {marker} & echo up"))
        async with asyncio.timeout(1):
            await controller.wait()
        assert cluster.lines.text(controller.task_id) == "up\n"
        await until_gone(marker, 0.01)


async def test_the_last_words_of_a_task_that_is_stopped_are_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        script = "trap 'seq 1 5000; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        controller = await cluster.started(shell(script))
        await cluster.lines.first(controller.task_id)
        await controller.stop(5)
        await controller.wait()
        assert cluster.lines.text(controller.task_id) == "up\n" + "".join(f"{n}\n" for n in range(1, 5001))


def test_the_sink_of_the_tests_is_empty_at_first() -> None:
    assert not Lines().of("t")
