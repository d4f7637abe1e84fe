"""How far an update, or a rebalancing, of a service is: kept while it goes on, so that a step costs what changed.

Both are tables of the state: what they know is in no other table (a failed task may have been forgotten since).
"""

from collections.abc import Mapping

from msgspec import Struct, field

from skep.core.indexes import Ordered
from skep.model.ids import EPOCH, Instant, Position, Seat, TaskId
from skep.model.states import TaskState
from skep.model.task import Task

#: So many ids of tasks are kept of one update, and so many of those that failed.
TASKS_MAX = 1000


class UpdateProgress(Struct):
    """What became of the tasks of the present template that were made since an update, or a rollback, began.

    - `moving`: made, and not seen running yet; `resting`: running since that instant, while the update's `delay` holds
      back the next (nanoseconds; tasks are only noted where there is one);
    - `changed`: the fields of the spec that it changes;
    - `failed[seat]`: the first task that ended there by itself; what follows in that seat is the restart policy's;
    - `made` counts, `tasks` are the first of them.
    """

    began: Position
    delay: int
    changed: tuple[str, ...] = ()
    moving: Ordered[TaskId] = field(default_factory=dict)
    resting: dict[TaskId, Instant] = field(default_factory=dict)
    failed: dict[Seat, TaskId] = field(default_factory=dict)
    last_running: Instant = EPOCH
    made: int = 0
    tasks: list[TaskId] = field(default_factory=list)

    def copy(self) -> "UpdateProgress":
        """Return an independent copy."""
        return UpdateProgress(
            self.began,
            self.delay,
            self.changed,
            dict(self.moving),
            dict(self.resting),
            dict(self.failed),
            self.last_running,
            self.made,
            list(self.tasks),
        )

    def note_made(self, tasks: list[Task], now: Instant) -> None:
        """Take that tasks of the present template were made."""
        self.made += len(tasks)
        self.tasks += [task.origin.id for task in tasks[: max(0, TASKS_MAX - len(self.tasks))]]
        if self.failed:
            tasks = [task for task in tasks if task.seat not in self.failed]
        self.moving |= dict.fromkeys([task.origin.id for task in tasks])
        while self.resting:
            task_id, since = next(iter(self.resting.items()))
            if since + self.delay > now:
                break
            del self.resting[task_id]

    def note_running(self, task_id: TaskId, since: Instant) -> None:
        """Take that a task runs."""
        if task_id in self.moving:
            del self.moving[task_id]
            self.last_running = max(self.last_running, since)
            if self.delay:
                self.resting[task_id] = since

    def begin_again(self, now: Instant) -> None:
        """Count delay and monitor from `now` on: an engine starts, and time without one does not count."""
        if self.last_running:
            self.last_running = now
        self.resting = dict.fromkeys(self.resting, now)

    def note_ended(self, task: Task, *, failed: bool) -> None:
        """Take that a task ended by itself (`failed`), or is wanted no more."""
        self.moving.pop(task.origin.id, None)
        self.resting.pop(task.origin.id, None)
        if failed and task.origin.created >= self.began:
            self.failed.setdefault(task.seat, task.origin.id)


class Rebalance(Struct):
    """A service is spread anew: so many of its tasks may still be moved, so many were; one is on its way, or none."""

    began: Position
    budget: int
    moved: int = 0
    moving: TaskId = TaskId("")

    def begin_move(self, tasks: Mapping[TaskId, Task], task_id: TaskId) -> None:
        """Take that `task_id` takes over from another. The one before it counts, if it runs."""
        before = tasks.get(self.moving)
        if before is not None and before.wanted and before.state is TaskState.RUNNING:
            self.moved += 1
        self.moving = task_id

    def copy(self) -> "Rebalance":
        """Return an independent copy."""
        return Rebalance(self.began, self.budget, self.moved, self.moving)
