"""One subscription to what an agent's tasks print: how far it was served, and its service.

- It reads the store and nothing else, by sequence number: nothing is missed between what was there and what comes, and
  nothing is held in memory but one batch, and a few lines ahead of each task while the backlog is put in order.
- First the backlog: what was kept when it began, over all its tasks in order of time. When it follows: then an empty
  batch, which says so, and what comes, in order per task. When it does not: an end (`close`).
- Served again over a new session it goes on where it was; what was in flight may come twice.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NoReturn

from msgspec import Struct

from skep.lines.merge import TimeOrder
from skep.model.ids import NodeId, TaskId
from skep.ports.lines import Line, LineStore, Stream
from skep.ports.link import AssignedTask, Link, PublishedLine, SubscriptionMessage

#: Lines that are published at once: at most 4 MiB, at 16 KiB a line.
BATCH_LINES = 256

#: Lines of a task that are read ahead while the backlogs of several are put in order.
AHEAD_LINES = 64


class Unwanted(Exception):
    """Nobody wants the lines any more."""


class Cursor(Struct):
    """How far a task was published (`after`) and read (`ahead`), and where its backlog ends (None: not known yet)."""

    task: AssignedTask
    after: int = 0
    ahead: int = 0
    end: int | None = None


class Subscription:
    """A subscription of the dispatcher's."""

    def __init__(self, message: SubscriptionMessage, store: LineStore, node_id: NodeId) -> None:
        self._message = message
        self._store = store
        self._node_id = node_id
        self._cursors: dict[TaskId, Cursor] = {}
        self._begun = False
        self._news: dict[TaskId, None] = {}  # tasks that may have printed; a dict for its order
        self._woken = asyncio.Event()

    def add(self, task: AssignedTask) -> None:
        """Know a task that came later: it is followed from its first line."""
        if self._begun and self._message.options.follow and self._selects(task):
            self._cursors[task.id] = Cursor(task, end=0)
            self.notice(task.id)

    def remove(self, task_id: TaskId) -> None:
        """Forget a task."""
        self._cursors.pop(task_id, None)
        self._news.pop(task_id, None)

    def notice(self, task_id: TaskId) -> None:
        """Know that a task printed."""
        if task_id in self._cursors:
            self._news[task_id] = None
            self._woken.set()

    async def serve(self, link: Link, tasks: Iterable[AssignedTask]) -> None:
        """Publish lines of those of `tasks` that it selects; return when all that was asked for is published.

        Raises:
            LinkError: the link failed; serve it again over the next.
            Unwanted: nobody wants them.
            OSError: the store cannot be read.
        """
        if not self._begun:
            self._cursors = {task.id: Cursor(task) for task in tasks if self._selects(task)}
            self._begun = True
        await self._publish_backlog(link)
        if not self._message.options.follow:
            await link.publish_lines(self._message.id, (), close=True)
            return
        await self._publish(link, (), {})
        for task_id in self._cursors:
            self.notice(task_id)
        await self._publish_news_forever(link)

    async def _publish_backlog(self, link: Link) -> None:
        order = TimeOrder()
        numbers: dict[TaskId, deque[int]] = {}
        for cursor in list(self._cursors.values()):
            if cursor.end is None:
                await self._locate(cursor)
            cursor.ahead = cursor.after
            await self._read_ahead(cursor, order, numbers)
        while order:
            batch: list[PublishedLine] = []
            reached: dict[TaskId, int] = {}
            while order and len(batch) < BATCH_LINES:
                line = order.pop()
                batch.append(line)
                reached[line.task_id] = numbers[line.task_id].popleft()
                cursor_of_it = self._cursors.get(line.task_id)
                if line.task_id not in order and cursor_of_it is not None:
                    await self._read_ahead(cursor_of_it, order, numbers)
            await self._publish(link, batch, reached)

    async def _locate(self, cursor: Cursor) -> None:
        """Find where the backlog of a task begins and ends."""
        tail, task_id = self._message.options.tail, cursor.task.id
        cursor.after = 0 if tail is None else await self._store.tail(task_id, tail)
        cursor.end = await self._store.last(task_id)

    async def _read_ahead(self, cursor: Cursor, order: TimeOrder, numbers: dict[TaskId, deque[int]]) -> None:
        """Put the next wanted lines of a task's backlog into `order`, and their numbers into `numbers`."""
        task, end = cursor.task, cursor.end or 0
        numbers.setdefault(task.id, deque())
        while task.id not in order and cursor.ahead < end:
            rows = await self._store.read(task.id, after=cursor.ahead, limit=AHEAD_LINES)
            cursor.ahead = rows[-1][0] if rows else end
            for number, line in rows:
                if number <= end and self._wants(line):
                    order.push(self._published(task, line))
                    numbers[task.id].append(number)

    async def _publish_news_forever(self, link: Link) -> NoReturn:
        while True:
            while self._news:
                task_id = next(iter(self._news))
                del self._news[task_id]
                await self._publish_news(link, self._cursors[task_id])
            self._woken.clear()
            await self._woken.wait()

    async def _publish_news(self, link: Link, cursor: Cursor) -> None:
        """Publish one batch of a task's; it waits for its turn then if there is more."""
        task = cursor.task
        rows = await self._store.read(task.id, after=cursor.after, limit=BATCH_LINES)
        if not rows:
            return
        if batch := [self._published(task, line) for _, line in rows if self._wants(line)]:
            await self._publish(link, batch, {})
        cursor.after = rows[-1][0]
        self.notice(task.id)

    async def _publish(self, link: Link, lines: Sequence[PublishedLine], reached: dict[TaskId, int]) -> None:
        if not await link.publish_lines(self._message.id, lines, close=False):
            raise Unwanted
        for task_id, number in reached.items():
            if cursor := self._cursors.get(task_id):
                cursor.after = number

    def _published(self, task: AssignedTask, line: Line) -> PublishedLine:
        return PublishedLine(task.id, task.service_id, self._node_id, line)

    def _selects(self, task: AssignedTask) -> bool:
        selector = self._message.selector
        return task.id in selector.task_ids or task.service_id in selector.service_ids

    def _wants(self, line: Line) -> bool:
        options = self._message.options
        return line.at >= options.since and (options.stdout if line.stream is Stream.STDOUT else options.stderr)
