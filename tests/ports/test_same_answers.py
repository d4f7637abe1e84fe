"""Whatever is done to them, memory and disk give the same answers."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from skep.model.ids import Instant, Position, TaskId
from skep.ports.event_log import Epoch, EventLog, LogError
from skep.ports.lines import Line, LineStore, Stream
from skep.runtime.memory import MemoryEventLog
from skep.runtime.memory_lines import MemoryLineStore
from skep_adapters.sqlite import SqliteEventLog, SqliteLineStore

#: Tries before we say that some kind of operation never succeeds.
ROUNDS = 20

HANDLES = 2

Operation = tuple[Any, ...]

handles = st.integers(0, HANDLES - 1)
log_operations = st.one_of(
    st.tuples(st.just("claim"), handles),
    st.tuples(st.just("reopen"), handles),
    st.tuples(
        st.just("append"),
        handles,
        st.sampled_from([0, 0, 0, 0, -1, 1]),  # how far from the end we believe to be
        st.sampled_from([0, 0, 0, -1]),  # how far from the last epoch
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.encode), max_size=4),
    ),
    st.tuples(st.just("read"), handles, st.integers(0, 12), st.integers(0, 6)),
    st.tuples(st.just("head"), handles),
    st.tuples(st.just("verify"), handles),
)

tasks = st.sampled_from([TaskId("a"), TaskId("b")])
line_operations = st.one_of(
    st.tuples(st.just("append"), tasks, st.lists(st.integers(0, 40), max_size=12)),
    st.tuples(st.just("append"), tasks, st.lists(st.integers(0, 40), max_size=12)),
    st.tuples(st.just("read"), tasks, st.integers(0, 40), st.integers(0, 40)),
    st.tuples(st.just("tail"), tasks, st.integers(0, 30)),
    st.tuples(st.just("last"), tasks),
    st.tuples(st.just("remove"), tasks),
    st.tuples(st.just("task_ids")),
    st.tuples(st.just("reopen")),
)


async def answer(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return the outcome, or the kind of error."""
    try:
        outcome = await call()
    except (LogError, ValueError) as error:
        return LogError if isinstance(error, LogError) else ValueError, type(error).__name__[:8]
    return list(outcome) if isinstance(outcome, Sequence) else outcome


class Logs:
    """Two handles on one log, and what their user knows."""

    def __init__(self, opened: Callable[[], SqliteEventLog | MemoryEventLog]) -> None:
        self.opened = opened
        self.handles = [opened() for _ in range(HANDLES)]
        self.epochs = [Epoch(0)] * HANDLES
        self.end = Position(0)

    async def perform(self, operation: Operation) -> Any:
        name, number, *rest = operation
        log = self.handles[number]
        match name:
            case "claim":
                claim = await log.claim()
                self.epochs[number], self.end = claim.epoch, claim.head.position
                return claim
            case "reopen":
                await log.aclose()
                self.handles[number] = self.opened()
                return None
            case "append":
                offset, epochs_ago, bodies = rest
                expected, epoch = Position(self.end + offset), Epoch(self.epochs[number] + epochs_ago)
                head = await log.append(bodies, expected=expected, epoch=epoch)
                self.end = head.position
                return head
            case "read":
                return await log.read(Position(rest[0]), limit=rest[1])
            case "head":
                return await log.head()
            case _:
                return await log.verify()


class Lines:
    """A line store that can be closed and opened again."""

    def __init__(self, opened: Callable[[], LineStore]) -> None:
        self.opened = opened
        self.store = opened()

    async def perform(self, operation: Operation) -> Any:
        name, *rest = operation
        match name:
            case "append":
                lines = [Line(Instant(size), Stream(1 + size % 2), b"x" * size) for size in rest[1]]
                return await self.store.append(rest[0], lines)
            case "read":
                return await self.store.read(rest[0], after=rest[1], limit=rest[2])
            case "reopen":
                await self.store.aclose()
                self.store = self.opened()
                return None
            case _:
                return await getattr(self.store, name)(*rest)


async def compare(
    memory: Logs | Lines, disk: Logs | Lines, operations: Sequence[Operation], succeeded: Counter[str]
) -> None:
    for operation in operations:
        expected = await answer(lambda operation=operation: memory.perform(operation))  # type: ignore[misc] # a default
        found = await answer(lambda operation=operation: disk.perform(operation))  # type: ignore[misc] # likewise
        assert found == expected, operation
        if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], type)):
            succeeded[operation[0]] += 1


def until_each_succeeded(kinds: set[str], succeeded: Counter[str], run: Callable[[], None]) -> None:
    for _ in range(ROUNDS):
        run()
        if kinds <= succeeded.keys():
            return
    raise AssertionError(f"never succeeded: {kinds - succeeded.keys()}")


def test_logs_in_memory_and_on_disk_answer_alike() -> None:
    succeeded: Counter[str] = Counter()

    async def run(operations: Sequence[Operation]) -> None:
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            records = MemoryEventLog()
            memory, disk = Logs(records.reopened), Logs(lambda: SqliteEventLog(directory / "cluster.db"))
            try:
                await compare(memory, disk, operations, succeeded)
            finally:
                for log in disk.handles:
                    await log.aclose()

    @settings(max_examples=25, deadline=None)
    @given(st.lists(log_operations, min_size=5, max_size=30))
    def explore(operations: Sequence[Operation]) -> None:
        asyncio.run(run([("claim", 0), *operations]))

    until_each_succeeded({"claim", "reopen", "append", "read", "head", "verify"}, succeeded, explore)


def test_lines_in_memory_and_on_disk_are_the_same() -> None:
    succeeded: Counter[str] = Counter()

    async def run(operations: Sequence[Operation]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            kept = MemoryLineStore(part_bytes=50, parts=2)
            memory = Lines(lambda: kept)
            disk = Lines(lambda: SqliteLineStore(Path(directory) / "lines.db", part_bytes=50, parts=2))
            try:
                await compare(memory, disk, operations, succeeded)
            finally:
                await disk.store.aclose()

    @settings(max_examples=25, deadline=None)
    @given(st.lists(line_operations, min_size=5, max_size=40))
    def explore(operations: Sequence[Operation]) -> None:
        asyncio.run(run(operations))

    until_each_succeeded({"append", "read", "tail", "last", "remove", "task_ids", "reopen"}, succeeded, explore)


def test_the_ports_are_what_both_implement() -> None:
    for log in (MemoryEventLog(), SqliteEventLog(Path("nowhere"))):
        port: EventLog = log
        assert port is log
