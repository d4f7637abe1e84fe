"""A `LineStore` in memory, bounded as the one in files is."""

from collections.abc import Sequence

from anyio.lowlevel import checkpoint as yield_once
from msgspec import Struct

from skep.model.ids import TaskId
from skep.ports.lines import PART_BYTES, PARTS, Line, dropped


class _Part(Struct):
    lines: list[tuple[int, Line]]
    bytes_: int = 0


class _Output(Struct):
    """What is kept of one task: a line for what was dropped, and the parts, oldest first."""

    parts: list[_Part]
    last: int = 0
    dropped_lines: int = 0
    dropped_bytes: int = 0
    notice: tuple[int, Line] | None = None

    def all(self) -> list[tuple[int, Line]]:
        kept = [entry for part in self.parts for entry in part.lines]
        return [self.notice, *kept] if self.notice else kept


class MemoryLineStore:
    """A `LineStore` in memory."""

    def __init__(self, *, part_bytes: int = PART_BYTES, parts: int = PARTS) -> None:
        self._part_bytes = part_bytes
        self._parts = parts
        self._outputs: dict[TaskId, _Output] = {}

    async def append(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        """Keep `lines`; the oldest part goes when one too many begins."""
        await yield_once()
        if not lines:
            return
        output = self._outputs.setdefault(task_id, _Output([_Part([])]))
        for line in lines:
            part = output.parts[-1]
            if part.lines and part.bytes_ + len(line.data) > self._part_bytes:
                part = _Part([])
                output.parts.append(part)
            output.last += 1
            part.lines.append((output.last, line))
            part.bytes_ += len(line.data)
        while len(output.parts) > self._parts:
            oldest = output.parts.pop(0)
            output.dropped_lines += len(oldest.lines)
            output.dropped_bytes += oldest.bytes_
            sequence, line = oldest.lines[-1]
            output.notice = (sequence, dropped(output.dropped_lines, output.dropped_bytes, at=line.at))

    async def read(self, task_id: TaskId, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Line]]:
        """Return the lines after `after`."""
        await yield_once()
        output = self._outputs.get(task_id)
        return [entry for entry in output.all() if entry[0] > after][: max(0, limit)] if output else []

    async def tail(self, task_id: TaskId, count: int) -> int:
        """Return where the last `count` lines begin."""
        await yield_once()
        output = self._outputs.get(task_id)
        if output is None:
            return 0
        if count <= 0:
            return output.last
        earlier = output.all()[:-count]
        return earlier[-1][0] if earlier else 0

    async def last(self, task_id: TaskId) -> int:
        """Return the newest line's number."""
        await yield_once()
        output = self._outputs.get(task_id)
        return output.last if output else 0

    async def remove(self, task_id: TaskId) -> None:
        """Forget the task's lines."""
        await yield_once()
        self._outputs.pop(task_id, None)

    async def task_ids(self) -> Sequence[TaskId]:
        """Return the tasks with lines, sorted."""
        await yield_once()
        return sorted(self._outputs)

    async def aclose(self) -> None:
        """Do nothing; the lines stay."""
