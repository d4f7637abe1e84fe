"""An executor around another one: its pulls are slow, and its tasks fail, when a test says so."""

from collections.abc import Mapping

import anyio
from skep.model.ids import ConfigId, SecretId, TaskId
from skep.model.node import NodeDescription
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus
from skep.ports.executor import Executor, LineSink, TaskController, TaskFailed
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.engine import ExecutorFactory
from skep.runtime.local_nodes import Reach


class Mischief:
    """What befalls the tasks of all nodes: `pull_s` more seconds to prepare each, and failures of those that run.

    Implements `Reach`, so it lies around whatever runs tasks, coroutines too; and the `mesh`, if any, around it.
    """

    def __init__(self) -> None:
        self.pull_s = 0.0
        self.mesh: Reach | None = None
        self._running: dict[TaskId, FailingController] = {}

    def over(self, executors: ExecutorFactory) -> ExecutorFactory:
        """Return what makes executors as `executors` does, whose tasks fail when told."""

        def make(name: str, number: int) -> Executor | None:
            executor = executors(name, number)
            return FailingExecutor(executor, self) if executor is not None else None

        return make if self.mesh is None else self.mesh.over(make)

    def fail(self, task_id: TaskId, message: str, exit_code: int) -> bool:
        """Have a task fail now; say whether it runs."""
        controller = self._running.get(task_id)
        if controller is None:
            return False
        controller.fail(TaskFailed(message, exit_code=exit_code))
        return True

    def began(self, task_id: TaskId, controller: "FailingController") -> None:
        """Know a task that runs."""
        self._running[task_id] = controller

    def ended(self, task_id: TaskId) -> None:
        """Know it no more."""
        self._running.pop(task_id, None)


class FailingController:
    """Implements `TaskController`."""

    def __init__(self, task_id: TaskId, inner: TaskController, mischief: Mischief) -> None:
        self._task_id = task_id
        self._inner = inner
        self._mischief = mischief
        self._scope = anyio.CancelScope()
        self._failure: TaskFailed | None = None

    @property
    def status(self) -> ContainerStatus | None:
        """What the other one says."""
        return self._inner.status

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """What the other one says."""
        return self._inner.ports

    async def prepare(self) -> None:
        """Prepare it, slowly where that was said."""
        if self._mischief.pull_s:
            await anyio.sleep(self._mischief.pull_s)
        await self._inner.prepare()

    async def start(self) -> None:
        """Start it."""
        await self._inner.start()

    async def wait(self) -> None:
        """Return when it has ended; what was said of its failure is raised when it was killed."""
        self._mischief.began(self._task_id, self)
        try:
            with self._scope:
                await self._inner.wait()
        finally:
            self._mischief.ended(self._task_id)
        if self._failure is not None:
            with anyio.CancelScope(shield=True):
                await self._inner.stop(0)
            raise self._failure

    async def stop(self, grace_s: float) -> None:
        """Stop it."""
        await self._inner.stop(grace_s)

    async def remove(self) -> None:
        """Leave nothing behind."""
        await self._inner.remove()

    def fail(self, failure: TaskFailed) -> None:
        """Kill it, and let that be its end."""
        self._failure = failure
        self._scope.cancel()


class FailingExecutor:
    """Implements `Executor`."""

    def __init__(self, inner: Executor, mischief: Mischief) -> None:
        self._inner = inner
        self._mischief = mischief

    async def open(self, sink: LineSink) -> None:
        """Begin."""
        await self._inner.open(sink)

    def describe(self) -> NodeDescription:
        """Return what the other one says."""
        return self._inner.describe()

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> TaskController:
        """Return the controller of `task`, which can fail."""
        return FailingController(
            task.id, self._inner.controller(task, secrets=secrets, configs=configs), self._mischief
        )

    async def aclose(self) -> None:
        """End."""
        await self._inner.aclose()
