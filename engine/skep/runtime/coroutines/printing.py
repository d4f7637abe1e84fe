"""What a task prints: split into lines, and handed to the agent in batches.

- a line has the time at which it was printed; times never go back within a task;
- printing never waits, so what waits for the sink is bounded: past the bound lines are dropped, and one says so;
- what cannot be kept is lost, and the task goes on;
- nothing runs while there is nothing to hand over: a thousand silent tasks cost nothing.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from skep.model.ids import Instant, TaskId
from skep.ports.clock import Clock
from skep.ports.executor import LineSink
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream, dropped

#: How often the sink is called at most while lines are few, and how many it gets at most; as for processes.
BATCH_S = 0.05
BATCH_LINES_MAX = 256

#: What may wait for the sink.
WAITING_LINES_MAX = 16 * BATCH_LINES_MAX
WAITING_BYTES_MAX = 1024 * 1024

_log = structlog.get_logger("skep.coroutines")


class Printing:
    """One task's output. `begin` runs a coroutine beside the task. Made in the loop that it is used in."""

    def __init__(
        self,
        task_id: TaskId,
        sink: LineSink,
        clock: Clock,
        begin: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._task_id = task_id
        self._sink = sink
        self._clock = clock
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._rest = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._lost_lines = self._lost_bytes = self._unkept = 0
        self._last = Instant(0)
        self._handing = self._closed = False
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def write(self, stream: Stream, data: bytes) -> None:
        """Print `data`, from any thread. After `close` nothing is printed."""
        if threading.get_ident() == self._thread:
            self._take(stream, data)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, stream, data)

    async def drain(self) -> None:
        """Return when all that was printed, lines that have no end yet apart, was handed over."""
        self._hurry.set()
        await self._idle.wait()
        self._hurry.clear()

    async def close(self) -> None:
        """Hand over the rest, and take no more."""
        for stream, rest in self._rest.items():
            if rest:
                self._add(Line(self._now(), stream, rest))
        self._rest = dict.fromkeys(self._rest, b"")
        self._closed = True
        self._hurry.set()
        await self._idle.wait()

    def _take(self, stream: Stream, data: bytes) -> None:
        if self._closed:
            return
        at = self._now()
        *whole, rest = (self._rest[stream] + data).split(b"\n")
        for text in whole:
            self._cut(text + b"\n", stream, at)
        if len(rest) >= LINE_BYTES_MAX:
            kept = len(rest) % LINE_BYTES_MAX
            self._cut(rest[: len(rest) - kept], stream, at)
            rest = rest[len(rest) - kept :]
        self._rest[stream] = rest

    def _cut(self, text: bytes, stream: Stream, at: Instant) -> None:
        for start in range(0, len(text), LINE_BYTES_MAX):
            self._add(Line(at, stream, text[start : start + LINE_BYTES_MAX]))

    def _add(self, line: Line) -> None:
        if len(self._lines) >= WAITING_LINES_MAX or self._bytes >= WAITING_BYTES_MAX:
            self._lost_lines += 1
            self._lost_bytes += len(line.data)
            return
        self._lines.append(line)
        self._bytes += len(line.data)
        if not self._handing:
            self._handing = True
            self._idle.clear()
            self._begin(self._hand_over())

    async def _hand_over(self) -> None:
        while self._lines:
            if len(self._lines) < BATCH_LINES_MAX:
                try:
                    async with asyncio.timeout(BATCH_S):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            lines = [self._lines.popleft() for _ in range(min(len(self._lines), BATCH_LINES_MAX))]
            self._bytes -= sum(len(line.data) for line in lines)
            if self._lost_lines:  # they came after all that waits
                self._lines.append(dropped(self._lost_lines, self._lost_bytes, at=self._last))
                self._lost_lines = self._lost_bytes = 0
            await self._keep(lines)
        self._handing = False
        self._idle.set()

    async def _keep(self, lines: list[Line]) -> None:
        try:
            await self._sink(self._task_id, lines)
        except Exception as error:  # noqa: BLE001 - a sink is foreign: no task dies of what it raises
            if not self._unkept:
                _log.warning("coroutine.lines_lost", task_id=self._task_id, error=str(error))
            self._unkept += len(lines)

    def _now(self) -> Instant:
        self._last = max(self._last, self._clock.now())
        return self._last
