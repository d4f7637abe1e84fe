"""Lines: what tasks print. Data plane: never in the cluster log, owned by the node's agent, bounded per task."""

import enum
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from skep.model.ids import Instant, TaskId

#: What is kept of a task's output: three parts of 10 MB, as json-file with max-file 3 and max-size 10m would.
PART_BYTES = 10_000_000
PARTS = 3

#: A longer line is cut into several, as Docker's own logger does (16 KiB).
LINE_BYTES_MAX = 16 * 1024


class Stream(enum.IntEnum):
    """Which stream a line came from; the numbers are the multiplexed stream's."""

    STDOUT = 1
    STDERR = 2


class Line(Struct, frozen=True, gc=False):
    """One line as printed, with its newline if it had one, at most LINE_BYTES_MAX bytes."""

    at: Instant
    stream: Stream
    data: bytes


def dropped(lines: int, data_bytes: int, *, at: Instant) -> Line:
    """Return the line that stands where `lines` lines were dropped; it has the sequence number of the last of them."""
    return Line(at, Stream.STDERR, f"[skep: {lines} lines ({data_bytes} bytes) were dropped here]\n".encode())


class LineStore(Protocol):
    """Where an agent keeps its tasks' lines."""

    async def append(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        """Keep `lines` after those already kept.

        When the bound is passed the oldest part goes and a line that says so (`dropped`) takes its place. Not durable
        at once: a crash of the machine may lose the last seconds.
        """
        ...

    async def read(self, task_id: TaskId, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Line]]:
        """Return at most `limit` lines whose sequence number follows `after`, with their numbers, in order."""
        ...

    async def tail(self, task_id: TaskId, count: int) -> int:
        """Return the sequence number after which exactly the last `count` lines follow (fewer if there are fewer)."""
        ...

    async def last(self, task_id: TaskId) -> int:
        """Return the sequence number of the newest line; 0 if there is none."""
        ...

    async def remove(self, task_id: TaskId) -> None:
        """Forget the task's lines. Idempotent."""
        ...

    async def task_ids(self) -> Sequence[TaskId]:
        """Return the tasks of which lines are kept."""
        ...

    async def aclose(self) -> None:
        """Close. Idempotent."""
        ...
