"""What an agent tells of its tasks: the newest of each, in batches, one at a time in flight."""

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import NoReturn

import anyio

from skep.model.ids import TaskId
from skep.model.task import TaskStatus
from skep.ports.link import Link, TaskReport

#: How many tasks one report tells of at most: well under an event's 5,000 rows.
REPORTS_MAX = 1000


class Reporter:
    """Keeps what is due. A status that a newer one replaces before it was sent is never sent.

    `delay_s` is how long it waits for more before it sends; what comes while a report is in flight waits anyway.
    """

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s
        self._due: dict[TaskId, TaskStatus] = {}
        self._news = asyncio.Event()

    def tell(self, task_id: TaskId, status: TaskStatus) -> None:
        """Have `status` sent."""
        self._due[task_id] = status
        self._news.set()

    def forget(self, task_id: TaskId) -> None:
        """Send nothing more of it."""
        self._due.pop(task_id, None)

    def begin(self, statuses: Iterable[tuple[TaskId, TaskStatus]]) -> None:
        """Begin a session: all that is to be told, whether it was told before or not."""
        self._due = dict(statuses)

    async def report_forever(self, link: Link, session_id: str) -> NoReturn:
        """Send what is due, until the link fails. What was in flight then is for the next session to repeat."""
        while True:
            if not self._due:
                self._news.clear()
                await self._news.wait()
            if self._delay_s:
                await anyio.sleep(self._delay_s)
            batch = list(islice(self._due.items(), REPORTS_MAX))
            for task_id, _ in batch:
                del self._due[task_id]
            if batch:
                await link.update_task_status(session_id, [TaskReport(*row) for row in batch])
