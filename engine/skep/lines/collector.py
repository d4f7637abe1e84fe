"""One stream of what several nodes publish.

- The past is merged in order of time, over all tasks of all nodes; then, when following, what comes, as it comes.
- A node's lines are held up to a bound, of lines and of bytes; past it the node waits. So the merge is exact if each
  node sends in order of time (our agents do), and for one that does not (Docker Engines send task by task) as far as
  the bound reaches.
- A node that is heard neither lines nor an end for `deadline_s` is not waited for, and is named at the end.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct, field

from skep.lines.merge import TimeOrder
from skep.model.ids import EPOCH, Instant, NodeId, ServiceId, TaskId
from skep.ports.lines import Line, Stream
from skep.ports.link import LineOptions, PublishedLine

#: Lines held over all nodes, and for each at least: one batch of an agent's.
LINES_HELD_MAX = 65_536
NODE_LINES_MIN = 256

#: Bytes of lines held over all nodes, and for each at least: a line may have 16 KiB. What a node sent at once is taken
#: as a whole, and may go beyond.
BYTES_HELD_MAX = 32 * 1024 * 1024
NODE_BYTES_MIN = 64 * 1024

#: How long who follows waits for the past of all nodes before what is there is given.
FOLLOW_S = 0.5

#: A loop may wake somebody a little early; whoever then waits for the rest of it would spin.
ROUNDING_S = 0.001


class NodeSilent(Struct, frozen=True):
    """A node that did not say all that it was asked for: lines of its tasks may be missing."""

    node_id: NodeId
    deadline_s: float

    def line(self, at: Instant) -> PublishedLine:
        """Return a line that says so, of no task."""
        text = f"[skep: node {self.node_id} did not answer within {self.deadline_s:g} s; its lines may be missing]\n"
        return PublishedLine(TaskId(""), ServiceId(""), self.node_id, Line(at, Stream.STDERR, text.encode()))


class _Source(Struct):
    """What is known of a node. It is ready when nothing older than what it sent is to be waited for."""

    held: int = 0
    held_bytes: int = 0
    full: bool = False
    ended: bool = False
    silent: bool = False
    heard_at_s: float = 0.0
    room: asyncio.Event = field(default_factory=asyncio.Event)


class LineCollector:
    """Takes lines from `nodes`, and from others that come later, and gives them to one reader of `stream`."""

    def __init__(self, options: LineOptions, nodes: Sequence[NodeId], *, deadline_s: float) -> None:
        self._follow = options.follow
        self._deadline_s = deadline_s
        self._capacity = max(NODE_LINES_MIN, LINES_HELD_MAX // max(1, len(nodes)))
        self._capacity_bytes = max(NODE_BYTES_MIN, BYTES_HELD_MAX // max(1, len(nodes)))
        self._sources = {node_id: _Source() for node_id in nodes}
        self._unready: dict[NodeId, None] = dict.fromkeys(nodes)
        self._order = TimeOrder()
        self._changed = asyncio.Event()
        self._live = False
        self._closed = False

    @property
    def silent(self) -> tuple[NodeSilent, ...]:
        """The nodes that are not waited for any more."""
        late = [node_id for node_id, source in self._sources.items() if source.silent and not source.ended]
        return tuple(NodeSilent(node_id, self._deadline_s) for node_id in late)

    async def publish(self, node_id: NodeId, lines: Sequence[PublishedLine], *, close: bool) -> bool:
        """Take a node's next lines, once there is room; return False if nobody reads any more.

        No lines and no `close` say that the node's past is told.
        """
        source = self._sources.get(node_id)
        if source is None:
            source = self._sources[node_id] = _Source()
            self._unready[node_id] = None
        source.heard_at_s = asyncio.get_running_loop().time()
        while self._is_full(source) and not self._closed:
            source.room.clear()
            await source.room.wait()
        if self._closed:
            return False
        for line in lines:
            if line.node_id == node_id:
                self._order.push(line)
                source.held += 1
                source.held_bytes += line.size
        source.full = self._is_full(source)
        source.ended = source.ended or close or (self._follow and not lines)
        if source.full or source.ended:
            self._unready.pop(node_id, None)
        if self._live or not self._unready:
            self._changed.set()
        return True

    async def stream(self) -> AsyncGenerator[PublishedLine, None]:
        """Yield lines; when not following, to the end. To be read once.

        Close it (`contextlib.aclosing`) to leave early: nodes that wait for room are answered with False then.
        """
        now_s = asyncio.get_running_loop().time()
        for source in self._sources.values():
            source.heard_at_s = now_s
        last_at = EPOCH
        try:
            while True:
                await self._wait_for_the_past(until_s=now_s + FOLLOW_S if self._follow else None)
                while self._order and (self._live or not self._unready):
                    line = self._pop()
                    last_at = line.line.at
                    yield line
                if not self._order and not self._unready:
                    break
                if self._live:
                    break
            for silent in self.silent:
                yield silent.line(last_at)
            while self._follow:
                self._live = True
                while self._order:
                    yield self._pop()
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._closed = True
            for source in self._sources.values():
                source.room.set()

    def _is_full(self, source: _Source) -> bool:
        return source.held >= self._capacity or source.held_bytes >= self._capacity_bytes

    def _pop(self) -> PublishedLine:
        line = self._order.pop()
        source = self._sources[line.node_id]
        source.held -= 1
        source.held_bytes -= line.size
        half = source.held <= self._capacity // 2 and source.held_bytes <= self._capacity_bytes // 2
        if source.full and half:
            source.full = False
            source.room.set()
            if not source.ended and not source.silent:
                source.heard_at_s = asyncio.get_running_loop().time()
                self._unready[line.node_id] = None
        return line

    async def _wait_for_the_past(self, *, until_s: float | None) -> None:
        """Return when every node is ready, or silent; or, at `until_s`, when none is waited for any more."""
        loop = asyncio.get_running_loop()
        while self._unready and not self._live:
            now_s = loop.time()
            if until_s is not None and now_s >= until_s - ROUNDING_S:
                self._live = True
                return
            late_s = now_s - self._deadline_s + ROUNDING_S
            for node_id in [each for each in self._unready if self._sources[each].heard_at_s <= late_s]:
                self._sources[node_id].silent = True
                del self._unready[node_id]
            if not self._unready:
                return
            next_s = min(self._sources[each].heard_at_s for each in self._unready) + self._deadline_s
            self._changed.clear()
            try:
                async with asyncio.timeout_at(next_s if until_s is None else min(next_s, until_s)):
                    await self._changed.wait()
            except TimeoutError:
                continue
