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

    - `delay` and `monitor`: as the spec says, in nanoseconds; `seats`: how many it has to update;
    - `moving`: made, and neither seen running yet nor ended; `resting`: those that ran or failed, since that instant,
      while `delay` holds back the next (only noted where there is one);
    - `watched`: running since that instant; one that ends by itself before `monitor` is over has failed;
    - `changed`: the fields of the spec that it changes;
    - `failed[seat]`: the first task that failed there; `over`: seats whose task ended by itself later than that. What
      follows in either is the restart policy's;
    - `last_settled`: when the last of them ran, or failed;
    - `made` counts, `tasks` are the first of them.
    """

    began: Position
    delay: int
    changed: tuple[str, ...] = ()
    moving: Ordered[TaskId] = field(default_factory=dict)
    resting: dict[TaskId, Instant] = field(default_factory=dict)
    failed: dict[Seat, TaskId] = field(default_factory=dict)
    last_settled: Instant = EPOCH
    made: int = 0
    tasks: list[TaskId] = field(default_factory=list)
    monitor: int = 0
    seats: int = 0
    watched: dict[TaskId, Instant] = field(default_factory=dict)
    over: Ordered[Seat] = field(default_factory=dict)

    def copy(self) -> "UpdateProgress":
        """Return an independent copy."""
        return UpdateProgress(
            self.began,
            self.delay,
            self.changed,
            dict(self.moving),
            dict(self.resting),
            dict(self.failed),
            self.last_settled,
            self.made,
            list(self.tasks),
            self.monitor,
            self.seats,
            dict(self.watched),
            dict(self.over),
        )

    def note_made(self, tasks: list[Task], now: Instant) -> None:
        """Take that tasks of the present template were made."""
        self.made += len(tasks)
        self.tasks += [task.origin.id for task in tasks[: max(0, TASKS_MAX - len(self.tasks))]]
        if self.failed or self.over:
            tasks = [task for task in tasks if task.seat not in self.failed and task.seat not in self.over]
        self.moving |= dict.fromkeys([task.origin.id for task in tasks])
        _forget_before(self.resting, now - self.delay)

    def note_running(self, task_id: TaskId, now: Instant) -> None:
        """Take that a task runs."""
        if task_id in self.moving:
            self._settle(task_id, now)
            _forget_before(self.watched, now - self.monitor - 1)
            self.watched[task_id] = now

    def begin_again(self, now: Instant) -> None:
        """Count delay and monitor from `now` on: an engine starts, and time without one does not count."""
        if self.last_settled:
            self.last_settled = now
        self.resting = dict.fromkeys(self.resting, now)
        self.watched = dict.fromkeys(self.watched, now)

    def note_unwanted(self, task_id: TaskId) -> None:
        """Take that a task is wanted no more, or ended by no fault of its own."""
        self.moving.pop(task_id, None)
        self.watched.pop(task_id, None)

    def note_ended(self, task: Task, now: Instant) -> None:
        """Take that a task of the present template ended by itself: it failed, unless it ran for long enough."""
        task_id, seat = task.origin.id, task.seat
        since = self.watched.pop(task_id, None)
        if task_id in self.moving:
            self._settle(task_id, now)
        elif since is None or since + self.monitor < now:
            if seat not in self.failed:
                self.over[seat] = None
            return
        self.failed.setdefault(seat, task_id)

    def _settle(self, task_id: TaskId, now: Instant) -> None:
        del self.moving[task_id]
        self.last_settled = max(self.last_settled, now)
        if self.delay:
            self.resting[task_id] = now


def _forget_before(since: dict[TaskId, Instant], instant: int) -> None:
    """Drop what is no later than `instant`; the oldest come first."""
    while since:
        task_id, at = next(iter(since.items()))
        if at > instant:
            return
        del since[task_id]


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
