"""An executor without processes: what tasks do is given as data, and happens in the loop's time.

For simulation, tests and demonstrations: with no delays no step of a task waits for anything; with them everything is
as deterministic as the loop is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import anyio
from msgspec import Struct

from skep.model.ids import ConfigId, Instant, SecretId, TaskId
from skep.model.node import EngineDescription, NodeDescription
from skep.model.service import Platform, PortConfig, Reservations
from skep.model.task import ContainerStatus
from skep.ports.clock import Clock
from skep.ports.executor import LineSink, TaskFailed, TaskRejected
from skep.ports.lines import Line, Stream
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask

#: What a shell says of a process that was killed.
KILLED = 137

GIBIBYTE = 1024**3


class Printed(Struct, frozen=True):
    """A line that a task prints, `after_s` seconds after its start. Given in order of time."""

    text: str
    after_s: float = 0.0
    stream: Stream = Stream.STDOUT


class Behaviour(Struct, frozen=True):
    """What a task does. It runs for `run_s` seconds, None: until it is stopped, and ends with `exit_code`.

    `reject` and `fail_start` say that it never gets through preparing or starting, and with which words. When it is
    stopped it needs `stop_s` seconds, or is killed if it is not given as many.
    """

    pull_s: float = 0.0
    start_s: float = 0.0
    healthy_s: float = 0.0
    run_s: float | None = None
    exit_code: int = 0
    stop_s: float = 0.0
    reject: str = ""
    fail_start: str = ""
    lines: tuple[Printed, ...] = ()


#: What tasks do: all the same, or by image, or as the function says.
Behaviours = Behaviour | Mapping[str, Behaviour] | Callable[[AssignedTask], Behaviour]

_STEADY = Behaviour()


def describe_node(hostname: str, *, cpus: float = 8, memory_bytes: int = 16 * GIBIBYTE) -> NodeDescription:
    """Return a node of this size."""
    return NodeDescription(
        hostname=hostname,
        platform=Platform(architecture="x86_64", os="linux"),
        resources=Reservations(nano_cpus=int(cpus * 1e9), memory_bytes=memory_bytes),
        engine=EngineDescription(engine_version="simulated"),
    )


class SimulatedController:
    """Implements `TaskController`."""

    __slots__ = (
        "_behaviour",
        "_container_id",
        "_ended",
        "_executor",
        "_exit_code",
        "_printed",
        "_started_at",
        "_stopping",
        "task",
    )

    def __init__(self, task: AssignedTask, behaviour: Behaviour, executor: "SimulatedExecutor") -> None:
        self.task = task
        self._behaviour = behaviour
        self._executor = executor
        self._container_id = ""
        self._started_at: float | None = None
        self._printed = 0
        self._exit_code: int | None = None
        self._stopping = False
        self._ended: asyncio.Event | None = None

    @property
    def status(self) -> ContainerStatus | None:
        """A container whose id follows from the task's."""
        if not self._container_id:
            return None
        exit_code = self._exit_code
        if exit_code is None:
            exit_code = -1 if self._stopping else 0
        return ContainerStatus(self._container_id, 0, exit_code)

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """None."""
        return ()

    async def prepare(self) -> None:
        """Take `pull_s` seconds, or be rejected then."""
        if self._behaviour.pull_s:
            await anyio.sleep(self._behaviour.pull_s)
        if self._behaviour.reject:
            raise TaskRejected(self._behaviour.reject)
        self._container_id = sha256(self.task.id.encode()).hexdigest()

    async def start(self) -> None:
        """Take `start_s` and `healthy_s` seconds, or fail."""
        if self._started_at is not None:
            return
        behaviour = self._behaviour
        if behaviour.start_s:
            await anyio.sleep(behaviour.start_s)
        if behaviour.fail_start:
            raise TaskFailed(behaviour.fail_start)
        self._started_at = asyncio.get_running_loop().time()
        if behaviour.healthy_s:
            await anyio.sleep(behaviour.healthy_s)

    async def wait(self) -> None:
        """Print what is to be printed, and end."""
        behaviour = self._behaviour
        if behaviour.lines:
            await self._print()
        await self._ended_within(behaviour.run_s)
        if self._exit_code is None:
            self.exit(behaviour.exit_code)
        if self._exit_code:
            raise TaskFailed(f"task: non-zero exit ({self._exit_code})", exit_code=self._exit_code)

    async def stop(self, grace_s: float) -> None:
        """End after `stop_s` seconds, or killed after `grace_s`."""
        if self._exit_code is not None:
            return
        self._stopping = True
        stop_s = self._behaviour.stop_s
        if stop_s and self._started_at is not None:
            await anyio.sleep(min(stop_s, grace_s))
        self.exit(KILLED if stop_s > grace_s else 0)

    async def remove(self) -> None:
        """Be forgotten."""
        self.exit(KILLED)
        self._executor.forget(self.task.id)

    def exit(self, exit_code: int) -> None:
        """End now, unless it ended before."""
        if self._exit_code is None:
            self._exit_code = exit_code
            if self._ended is not None:
                self._ended.set()

    async def _print(self) -> None:
        lines = self._behaviour.lines
        while self._printed < len(lines):
            due = [lines[self._printed]]
            due += [line for line in lines[self._printed + 1 :] if line.after_s <= due[0].after_s]
            if await self._ended_within(due[0].after_s):
                return
            self._printed += len(due)
            await self._executor.print(self.task.id, due)

    async def _ended_within(self, seconds: float | None) -> bool:
        """Wait until so long after the start, None: for ever; return whether it ended before."""
        if self._exit_code is not None:
            return True
        if self._ended is None:
            self._ended = asyncio.Event()
        if seconds is None:
            await self._ended.wait()
            return True
        left_s = (self._started_at or 0.0) + seconds - asyncio.get_running_loop().time()
        if left_s > 0:
            with anyio.move_on_after(left_s):
                await self._ended.wait()
        return self._exit_code is not None


class SimulatedExecutor:
    """Implements `Executor`. `description` is what it says of its node."""

    def __init__(
        self,
        behaviours: Behaviours = _STEADY,
        *,
        clock: Clock,
        description: NodeDescription | None = None,
    ) -> None:
        self._behaviours = behaviours
        self._clock = clock
        self._description = description or describe_node("simulated")
        self._sink: LineSink | None = None
        self._controllers: dict[TaskId, SimulatedController] = {}

    async def open(self, sink: LineSink) -> None:
        """Begin."""
        self._sink = sink

    def describe(self) -> NodeDescription:
        """Return what it was given."""
        return self._description

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],  # noqa: ARG002 - the port's; nothing reads secrets here
        configs: Mapping[ConfigId, AssignedConfig],  # noqa: ARG002 - likewise
    ) -> SimulatedController:
        """Return the controller of `task`: the same one until it is removed."""
        controller = self._controllers.get(task.id)
        if controller is None:
            controller = self._controllers[task.id] = SimulatedController(task, self._behaviour(task), self)
        return controller

    def kept(self) -> list[AssignedTask]:
        """Return the tasks that were not removed, in the order in which they came."""
        return [controller.task for controller in self._controllers.values()]

    def exit(self, task_id: TaskId, exit_code: int = 0) -> None:
        """Let a task end now, as if by itself.

        Raises:
            KeyError: there is no such task here.
        """
        self._controllers[task_id].exit(exit_code)

    async def print(self, task_id: TaskId, lines: Sequence[Printed]) -> None:
        """Let a task print now."""
        if self._sink is not None:
            at = Instant(self._clock.now())
            await self._sink(task_id, [Line(at, line.stream, f"{line.text}\n".encode()) for line in lines])

    def forget(self, task_id: TaskId) -> None:
        """Know a task no more."""
        self._controllers.pop(task_id, None)

    async def aclose(self) -> None:
        """Kill all."""
        for controller in self._controllers.values():
            controller.exit(KILLED)
        self._controllers.clear()

    def _behaviour(self, task: AssignedTask) -> Behaviour:
        behaviours = self._behaviours
        if isinstance(behaviours, Behaviour):
            return behaviours
        if isinstance(behaviours, Mapping):
            spec = task.template.spec.container_spec
            return behaviours.get(spec.image if spec else "", _STEADY)
        return behaviours(task)
