"""One task on its node, from its assignment to its end.

- A `TaskRun` is driven by one asyncio task at most, through states that only grow; a task that ran before this agent's
  process began is never run again.
- What ends a step early is `update` or `leave`: they interrupt `prepare`, `start` and `wait`, and `stop` follows.
  Anything else that cancels the driver ends the agent, and then nothing is stopped here: the executor kills all.
- Which failure stops what: `TaskRejected`, `TaskFailed` and `OSError` end the task; anything else ends the agent.
"""

import asyncio
from collections.abc import Callable

import structlog
from msgspec import structs

from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS, Instant, TaskId
from skep.model.states import MESSAGES, TaskState
from skep.model.task import ContainerStatus, TaskStatus
from skep.ports.executor import TaskController, TaskFailed, TaskRejected
from skep.ports.link import AssignedTask

#: How long a task has between its stop signal and its end, where its spec says nothing; Docker's own.
STOP_GRACE_S = 10.0

_log = structlog.get_logger("skep.agent")

_NO_CONTAINER = ContainerSpec()


def stop_grace_s(task: AssignedTask) -> float:
    """Return how many seconds `task` has to end by itself."""
    grace = (task.template.spec.container_spec or _NO_CONTAINER).stop_grace_period
    return STOP_GRACE_S if grace is None else grace / NANOSECONDS


class TaskRun:
    """A task that is assigned here. `tell` is called with every new status; `make` gives the controller."""

    __slots__ = (
        "_controller",
        "_desired",
        "_interrupted",
        "_interruptible",
        "_make",
        "_now",
        "_released",
        "_tell",
        "driver",
        "leaving",
        "observed",
        "status",
        "task",
    )

    def __init__(
        self,
        task: AssignedTask,
        *,
        make: Callable[[AssignedTask], TaskController],
        tell: Callable[[TaskId, TaskStatus], None],
        now: Callable[[], Instant],
    ) -> None:
        self.task = task
        #: The last status: what was stored when it was assigned, until there is news.
        self.status = task.status
        #: Whether `status` is news of this agent's.
        self.observed = False
        #: What drives it now, if anything; set by whoever called `drive`.
        self.driver: asyncio.Task[None] | None = None
        #: Whether it is to be removed once it has stopped; nothing is told of it any more.
        self.leaving = False
        self._desired = task.desired
        self._make = make
        self._tell = tell
        self._now = now
        self._controller: TaskController | None = None
        self._released: asyncio.Event | None = None
        self._interruptible = False
        self._interrupted = False

    @property
    def lost(self) -> bool:
        """Whether it ran under an agent that is no more: it cannot be run again, nor found."""
        return self._controller is None and TaskState.STARTING <= self.status.state <= TaskState.RUNNING

    def bury(self) -> None:
        """Tell that it is lost, in the words of a Docker Engine that was started again (scenario 54)."""
        self._enter(TaskState.FAILED, err=f"No such container: {self.task.name}", container=self.status.container)

    def update(self, task: AssignedTask) -> None:
        """Take what is wanted of it now; what is wanted only grows."""
        self.task = task
        if task.desired <= self._desired:
            return
        self._desired = task.desired
        if task.desired >= TaskState.SHUTDOWN:
            self._interrupt()
        elif self._released is not None:
            self._released.set()

    def leave(self) -> None:
        """Stop it if it runs, and tell nothing more."""
        self.leaving = True
        self._desired = TaskState.REMOVE
        self._interrupt()

    async def drive(self) -> None:
        """Bring it to its end, or to a stop as soon as that is wanted."""
        if self._desired < TaskState.SHUTDOWN and not self.status.state.terminal:
            await self._run_until_interrupted()
        if not self.status.state.terminal:
            await self._stop()

    async def remove(self) -> None:
        """Leave nothing behind. Called when it has ended."""
        if self._controller is None:
            return
        try:
            await self._controller.remove()
        except OSError as error:
            # what is left is found when the executor is opened the next time
            _log.warning("agent.task_not_removed", task_id=self.task.id, error=str(error))

    def _interrupt(self) -> None:
        if self._interruptible and not self._interrupted and self.driver is not None:
            self._interrupted = True
            self.driver.cancel()

    async def _run_until_interrupted(self) -> None:
        self._interruptible = True
        try:
            await self._run()
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        finally:
            self._interruptible = False
        if self._interrupted and self.driver is not None and self.driver.uncancel():
            raise asyncio.CancelledError  # the agent ends, too

    async def _run(self) -> None:
        """Go through the states. One that nothing is waited for in is not entered: nobody could see it."""
        enter = self._enter
        try:
            enter(TaskState.PREPARING)
            controller = self._controller = self._make(self.task)
            await controller.prepare()
            if self._desired <= TaskState.READY:
                enter(TaskState.READY)
                self._released = asyncio.Event()
                await self._released.wait()
            enter(TaskState.STARTING, container=controller.status)
            await controller.start()
            enter(TaskState.RUNNING, container=controller.status)
            await controller.wait()
            enter(TaskState.COMPLETE, container=controller.status)
        except TaskRejected as error:
            self._end_badly(TaskState.REJECTED, str(error))
        except TaskFailed as error:
            self._end_badly(TaskState.FAILED, str(error), exit_code=error.exit_code)
        except OSError as error:
            self._end_badly(TaskState.FAILED, str(error))

    async def _stop(self) -> None:
        """Stop it, or, where it did not start, let that be its end."""
        container = None
        if self._controller is not None and self.status.state >= TaskState.STARTING:
            try:
                await self._controller.stop(stop_grace_s(self.task))
            except TaskFailed as error:
                self._end_badly(TaskState.FAILED, str(error), exit_code=error.exit_code)
                return
            except OSError as error:
                self._end_badly(TaskState.FAILED, str(error))
                return
            container = self._controller.status
        self._enter(TaskState.SHUTDOWN, container=container)

    def _end_badly(self, state: TaskState, err: str, *, exit_code: int = 0) -> None:
        container = self._controller.status if self._controller else None
        if container is None and exit_code:
            container = ContainerStatus(exit_code=exit_code)
        elif container is not None and container.exit_code != exit_code:
            container = structs.replace(container, exit_code=exit_code)
        self._enter(state, err=err, container=container)

    def _enter(self, state: TaskState, *, err: str = "", container: ContainerStatus | None = None) -> None:
        last = self.status
        if state <= last.state:  # as stored before this agent's process began
            return
        message = MESSAGES[last.state] if err else MESSAGES[state]
        ports = self._controller.ports if container and self._controller else ()
        self.status = TaskStatus(state, self._now(), message, err, container, ports)
        self.observed = True
        if not self.leaving:
            self._tell(self.task.id, self.status)
