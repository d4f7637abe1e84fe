"""The executor of coroutines: runs the images that the program bound, and leaves the others to another executor."""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
from msgspec.structs import asdict

from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS, ConfigId, SecretId
from skep.model.node import EngineDescription, NodeDescription
from skep.model.service import Platform, Reservations
from skep.ports.clock import Clock
from skep.ports.executor import Executor, LineSink, TaskController, TaskFailed
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.coroutines.controller import CoroutineController, Place
from skep.runtime.coroutines.images import Images
from skep.version import VERSION

#: How long tasks have at most, between the cancellation that `aclose` sends and their end, whatever their spec says.
STOP_S = 10.0

#: How long `aclose` waits for the last lines of tasks to be kept.
CLOSE_S = 10.0

#: What of a container's spec a coroutine has. What else is said has no effect, and is warned of.
_HONOURED = frozenset(
    (
        *("image", "labels", "command", "args", "hostname", "env"),
        *("stop_grace_period", "healthcheck", "secrets", "configs", "mounts"),
    )
)

_log = structlog.get_logger("skep.coroutines")


class CoroutineExecutor:
    """Implements `Executor`. Tasks of images that `images` has are coroutines; `other` has the rest.

    Without `other` the rest is rejected. With `alone` it is rejected, too, as soon as an image is bound. `stop_s` is
    the longest grace of tasks at `aclose`.
    """

    def __init__(
        self,
        images: Images,
        other: Executor | None = None,
        *,
        clock: Clock,
        alone: bool = False,
        stop_s: float = STOP_S,
    ) -> None:
        self._images = images
        self._other = other
        self._clock = clock
        self._alone = alone
        self._stop_s = stop_s
        self._controllers: dict[str, CoroutineController] = {}
        self._warned: set[str] = set()
        self._place: Place | None = None
        self._begun: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self, sink: LineSink) -> None:
        """Begin. What an earlier life of this node abandoned goes on."""
        self._place = Place(self._images, sink, self._clock, self._begin, self._forget)
        if self._other is not None:
            await self._other.open(sink)

    def describe(self) -> NodeDescription:
        """Return what the other executor says, or what this machine is."""
        return self._other.describe() if self._other is not None else describe_host()

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> TaskController:
        """Return the controller of `task`: the same one until it is removed."""
        if task.id in self._controllers:
            return self._controllers[task.id]
        spec = task.template.spec.container_spec or ContainerSpec()
        bound = self._images.find(spec.image)
        if bound is None and self._other is not None and (self._images.empty or not self._alone):
            return self._other.controller(task, secrets=secrets, configs=configs)
        assert self._place is not None  # noqa: S101 - the port says: after `open`
        if self._closed:
            raise TaskFailed("the executor was closed")
        if bound is not None:
            self._warn(spec, task.service_name)
        controller = CoroutineController(task, bound, self._place, secrets=secrets, configs=configs)
        self._controllers[task.id] = controller
        return controller

    async def aclose(self) -> None:
        """Stop every task, all at once; what ignores that is abandoned. Idempotent."""
        closing = [self._stop_all(), *([self._other.aclose()] if self._other is not None else [])]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _stop_all(self) -> None:
        self._closed = True
        async with asyncio.TaskGroup() as stops:
            for controller in self._controllers.values():
                stops.create_task(controller.end(self._stop_s))
        if self._begun:
            _, late = await asyncio.wait(self._begun, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _begin(self, running: Coroutine[Any, Any, None]) -> None:
        """Run what belongs to a task beside its function, and ends with it; `aclose` waits for all of it."""
        # no task group: those who start it come and go, and only nodes with coroutines should have one
        task = asyncio.create_task(running)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    def _forget(self, gone: AssignedTask) -> None:
        self._controllers.pop(gone.id, None)

    def _warn(self, spec: ContainerSpec, service: str) -> None:
        """Warn, once each, of the fields that were said and that a coroutine goes without."""
        for name, said in asdict(spec).items():
            asks = said and said not in (type(said)(), "default")  # the docker CLI sends empty parts
            if asks and name not in _HONOURED and name not in self._warned:
                self._warned.add(name)
                _log.warning("coroutine.spec_field_ignored", field=name, service=service)


def describe_host() -> NodeDescription:
    """Return platform, CPUs and memory of this machine, all of which every node of the program has."""
    system = os.uname()
    return NodeDescription(
        hostname=system.nodename,
        platform=Platform(architecture=system.machine, os=system.sysname.lower()),
        resources=Reservations(
            nano_cpus=(os.cpu_count() or 1) * NANOSECONDS,
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        ),
        engine=EngineDescription(engine_version=f"skep {VERSION}"),
    )
