"""Lines of several tasks in order of time.

A task's own lines always keep their order, even where its clock went back: only the first line of each is compared.
"""

from collections import deque
from heapq import heappop, heappush

from skep.model.ids import TaskId
from skep.ports.link import PublishedLine


class TimeOrder:
    """Takes lines of many tasks, each task's in order, and gives back the oldest of what it holds."""

    def __init__(self) -> None:
        self._waiting: dict[TaskId, deque[PublishedLine]] = {}
        self._heads: list[tuple[int, TaskId]] = []

    def __bool__(self) -> bool:
        return bool(self._heads)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._waiting

    def push(self, line: PublishedLine) -> None:
        """Take a line; it follows the task's others."""
        waiting = self._waiting.get(line.task_id)
        if waiting is None:
            self._waiting[line.task_id] = deque([line])
            heappush(self._heads, (line.line.at, line.task_id))
        else:
            waiting.append(line)

    def pop(self) -> PublishedLine:
        """Give the oldest line. Where two are as old, that of the task with the lower id.

        Raises:
            IndexError: there is none.
        """
        _, task_id = heappop(self._heads)
        waiting = self._waiting[task_id]
        line = waiting.popleft()
        if waiting:
            heappush(self._heads, (waiting[0].line.at, task_id))
        else:
            del self._waiting[task_id]
        return line
