"""A task's output: two pipes, split into lines, handed on in batches.

- each line has the time at which it was read; times never go back within a task;
- lines of one stream keep their order; between the streams it is the order of reading;
- what waits for the sink is bounded: past the bound the pipes are not read, and the task waits in its own writes;
- it ends when both pipes do, or a moment after the task ended: a process outside may still hold a pipe.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence

from skep.model.ids import Instant
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream

#: How often the sink is called at most while lines are few, and how many it gets at most.
BATCH_S = 0.05
BATCH_LINES_MAX = 256

#: What may wait for the sink: beyond it the pipes are left alone.
WAITING_LINES_MAX = 4 * BATCH_LINES_MAX
WAITING_BYTES_MAX = 1024 * 1024

#: The size of a pipe, so one read empties it.
READ_BYTES = 64 * 1024

#: How long to wait for the end of a pipe that somebody outside the task holds.
DRAIN_S = 1.0


class _Splitter:
    """One stream's bytes on their way to lines."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""

    def feed(self, data: bytes, at: Instant) -> list[Line]:
        """Return the lines that are whole with `data`; a line longer than allowed is several."""
        *whole, rest = (self._rest + data).split(b"\n")
        lines: list[Line] = []
        for text in whole:
            self._cut(text + b"\n", at, lines)
        while len(rest) >= LINE_BYTES_MAX:
            lines.append(Line(at, self._stream, rest[:LINE_BYTES_MAX]))
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        return lines

    def finish(self, at: Instant) -> list[Line]:
        """Return what is left: a last line without its end."""
        rest, self._rest = self._rest, b""
        return [Line(at, self._stream, rest)] if rest else []

    def _cut(self, text: bytes, at: Instant, lines: list[Line]) -> None:
        if len(text) <= LINE_BYTES_MAX:
            lines.append(Line(at, self._stream, text))
            return
        starts = range(0, len(text), LINE_BYTES_MAX)
        lines.extend(Line(at, self._stream, text[start : start + LINE_BYTES_MAX]) for start in starts)


class Output:
    """The reading ends of a task's standard output and error; owns them."""

    def __init__(self, stdout: int, stderr: int, now: Callable[[], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = now
        self._last = 0
        self._splitters = {stdout: _Splitter(Stream.STDOUT), stderr: _Splitter(Stream.STDERR)}
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._paused = False
        self._any = asyncio.Event()
        self._enough = asyncio.Event()
        self._flushed_at = -BATCH_S
        self._drain: asyncio.TimerHandle | None = None
        for fd in self._splitters:
            os.set_blocking(fd, False)
        self._resume()

    async def batch(self) -> Sequence[Line]:
        """Return the next lines, at most BATCH_LINES_MAX, once BATCH_S passed since the last; empty at the end."""
        await self._any.wait()
        pause = self._flushed_at + BATCH_S - self._loop.time()
        if pause > 0 and not self._enough.is_set():
            try:
                async with asyncio.timeout(pause):
                    await self._enough.wait()
            except TimeoutError:
                pass
        lines = [self._lines.popleft() for _ in range(min(len(self._lines), BATCH_LINES_MAX))]
        self._bytes -= sum(len(line.data) for line in lines)
        self._flushed_at = self._loop.time()
        self._mark()
        if self._paused and len(self._lines) < BATCH_LINES_MAX and self._bytes < WAITING_BYTES_MAX // 2:
            self._resume()
        return lines

    def task_ended(self) -> None:
        """Wait for the rest no longer than DRAIN_S, not counting the time that the sink takes."""
        if self._splitters and self._drain is None:
            self._drain = self._loop.call_later(DRAIN_S, self._give_up)

    def close(self) -> None:
        """Close the pipes; what was read is still there to be had. Idempotent."""
        for fd in list(self._splitters):
            self._close(fd)
        if self._drain is not None:
            self._drain.cancel()

    def _give_up(self) -> None:
        if self._paused:  # the sink is behind, so there may be more of the task's own in the pipe
            self._drain = self._loop.call_later(DRAIN_S, self._give_up)
            return
        for fd in list(self._splitters):
            self._read(fd)
        self.close()

    def _resume(self) -> None:
        self._paused = False
        for fd in self._splitters:
            self._loop.add_reader(fd, self._read, fd)

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._close(fd)
            return
        self._take(self._splitters[fd].feed(data, self._instant()))
        if len(self._lines) >= WAITING_LINES_MAX or self._bytes >= WAITING_BYTES_MAX:
            self._paused = True
            for each in self._splitters:
                self._loop.remove_reader(each)

    def _close(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        splitter = self._splitters.pop(fd)
        os.close(fd)
        self._take(splitter.finish(self._instant()))

    def _take(self, lines: Sequence[Line]) -> None:
        self._lines.extend(lines)
        self._bytes += sum(len(line.data) for line in lines)
        self._mark()

    def _mark(self) -> None:
        """Say what there is: anything (or the end), and enough not to wait for more."""
        _set(self._any, bool(self._lines) or not self._splitters)
        _set(self._enough, len(self._lines) >= BATCH_LINES_MAX or not self._splitters)

    def _instant(self) -> Instant:
        self._last = max(self._last, self._now())
        return Instant(self._last)


def _set(event: asyncio.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()
