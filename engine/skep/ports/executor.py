"""The executor: what makes a task run on a node. One per agent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from skep.model.ids import ConfigId, SecretId, TaskId
from skep.model.node import NodeDescription
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus
from skep.ports.lines import Line
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask


class TaskRejected(Exception):
    """The task can never run here as it is specified: it becomes REJECTED with this message."""


class TaskFailed(Exception):
    """The task did not start, or ended badly: it becomes FAILED with this message."""

    def __init__(self, message: str, *, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


#: Where an executor puts what a task prints. Awaiting it is the back-pressure.
LineSink = Callable[[TaskId, Sequence[Line]], Awaitable[None]]


class TaskController(Protocol):
    """One task's run. Each method is idempotent; the agent calls them in order, and `stop` and `remove` at any time.

    `prepare`, `start` and `wait` may be cancelled; `stop` follows then.
    """

    async def prepare(self) -> None:
        """Get everything ready without starting: image, directories, secrets and configs as files.

        Raises:
            TaskRejected: it can never run here.
        """
        ...

    async def start(self) -> None:
        """Start it; return once it runs (and is healthy, where a health check is specified).

        Raises:
            TaskFailed: it did not start.
        """
        ...

    async def wait(self) -> None:
        """Return when it ended with exit code 0.

        Raises:
            TaskFailed: it ended otherwise, "task: non-zero exit (N)".
        """
        ...

    async def stop(self, grace_s: float) -> None:
        """End it: its stop signal, `grace_s` seconds, then kill. Returns when nothing of it runs.

        Raises:
            TaskFailed: it cannot be killed here, and goes on. `remove` is called all the same.
        """
        ...

    async def remove(self) -> None:
        """Leave nothing behind: files, directories. Called after `stop`."""
        ...

    @property
    def status(self) -> ContainerStatus | None:
        """What is known of what runs; None before it was prepared."""
        ...

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """Host-mode ports that it got."""
        ...


class Executor(Protocol):
    """What runs tasks on one node."""

    async def open(self, sink: LineSink) -> None:
        """Begin: nothing that an earlier life started may still run when this returns."""
        ...

    def describe(self) -> NodeDescription:
        """Return the platform, resources and engine of the node (hostname may be overridden by the agent)."""
        ...

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> TaskController:
        """Return the controller of `task`; the mappings hold what it references and exists.

        Templates in all of them were expanded before. What a config was expanded to may hold secrets, so it is kept
        like one.
        """
        ...

    async def aclose(self) -> None:
        """End: every task is killed and reaped when this returns. Idempotent."""
        ...
