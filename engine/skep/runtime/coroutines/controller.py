"""The controller of one task that is a coroutine: what the agent asks, in terms of a run and its health."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from hashlib import sha256
from typing import Any

import structlog
from msgspec import Struct

from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS, ConfigId, SecretId
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus
from skep.ports.clock import Clock
from skep.ports.executor import LineSink, TaskFailed, TaskRejected
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.coroutines.asking import health_check
from skep.runtime.coroutines.context import TaskContext, configs_of, secrets_of, told_addr
from skep.runtime.coroutines.images import Bound, Images, not_bound
from skep.runtime.coroutines.printing import Printing
from skep.runtime.coroutines.run import Run
from skep.runtime.health import HealthCheck

#: A task's grace where its spec says nothing: Docker's own.
STOP_GRACE_S = 10.0

_log = structlog.get_logger("skep.coroutines")

_NO_CONTAINER = ContainerSpec()


class Place(Struct, frozen=True):
    """What all tasks of one executor share. `begin` runs a coroutine beside it."""

    images: Images
    sink: LineSink
    clock: Clock
    begin: Callable[[Coroutine[Any, Any, None]], object]
    forget: Callable[[AssignedTask], None]


class CoroutineController:
    """Implements `TaskController`. Without `bound` it is nothing but rejected."""

    def __init__(
        self,
        task: AssignedTask,
        bound: Bound | None,
        place: Place,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> None:
        self._task = task
        self._spec = task.template.spec.container_spec or _NO_CONTAINER
        self._bound = bound
        self._place = place
        self._assigned = (secrets, configs)
        self._values: tuple[dict[str, bytes], dict[str, bytes]] | None = None
        self._run: Run | None = None
        self._health: HealthCheck | None = None
        self._stopping = False

    @property
    def grace_s(self) -> float:
        """How many seconds the task has between its cancellation and its end."""
        grace = self._spec.stop_grace_period
        return STOP_GRACE_S if grace is None else grace / NANOSECONDS

    @property
    def status(self) -> ContainerStatus | None:
        """A container whose id follows from the task's. It has no process of its own, so the pid is 0."""
        if self._values is None:
            return None
        exit_code = -1 if self._stopping else 0
        if self._run is not None and self._run.over.is_set():
            exit_code = self._run.exit_code
        return ContainerStatus(sha256(self._task.id.encode()).hexdigest(), 0, exit_code)

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """None."""
        return ()

    async def prepare(self) -> None:
        """Gather its secrets and configs.

        Raises:
            TaskRejected: no function is bound to its image, one of them is missing, or it wants a mount.
        """
        if self._values is not None:
            return
        if self._bound is None:
            raise not_bound(self._spec.image)
        for mount in self._spec.mounts:
            raise TaskRejected(
                f"{mount.type or 'volume'} mount {mount.source or 'without source'} at {mount.target}: "
                f"tasks are coroutines here, and see the files of their program as they are"
            )
        secrets, configs = self._assigned
        self._values = secrets_of(self._task, secrets), configs_of(self._task, configs)

    async def start(self) -> None:
        """Start its function; with a health check return once it is healthy, or ended well without having been.

        Raises:
            TaskFailed: it came to its end before.
        """
        if self._run is None:
            if self._stopping:
                raise TaskFailed("the task was stopped before it started")
            await self.prepare()
            assert self._bound is not None  # noqa: S101 - else it was rejected
            self._run = self._begin(self._bound)
        if self._health is not None and not await self._health.known():
            await self.wait()

    async def wait(self) -> None:
        """Return when it returned and its last line was handed over.

        Raises:
            TaskFailed: it ended otherwise.
        """
        if self._run is None:
            raise TaskFailed("the task was not started")
        await self._run.ended.wait()
        if self._run.failure is not None:
            raise self._run.failure

    async def stop(self, grace_s: float) -> None:
        """Cancel it; after `grace_s` seconds once more, and then leave it alone.

        Raises:
            TaskFailed: it goes on all the same.
        """
        self._stopping = True
        if self._run is not None:
            await self._run.stop(grace_s)

    async def end(self, grace_s_max: float) -> None:
        """End it with its own grace, but no longer than `grace_s_max`; what goes on all the same was told."""
        with contextlib.suppress(TaskFailed):
            await self.stop(min(self.grace_s, grace_s_max))

    async def remove(self) -> None:
        """End it if it runs, and forget it. What was abandoned goes on."""
        try:
            await self.stop(0)
        except TaskFailed as failure:
            _log.info("coroutine.removed_while_it_runs", task=self._task.name, why=str(failure))
        if self._run is not None:
            await self._run.ended.wait()
        self._values = ({}, {})
        self._assigned = ({}, {})
        self._place.forget(self._task)

    def _begin(self, bound: Bound) -> Run:
        place, task = self._place, self._task
        printing = Printing(task.id, place.sink, place.clock, place.begin)
        secrets, configs = self._values or ({}, {})
        addr = told_addr(self._spec) or place.images.addresses.give(task.id)
        context = TaskContext(task, secrets=secrets, configs=configs, printing=printing, addr=addr)
        run = Run(context, bound.function, printing, images=place.images)
        place.begin(run.see_through())
        self._health = health_check(bound.health, context, self._spec.healthcheck)
        if self._health is not None:
            place.begin(self._watch(self._health, run))
        return run

    async def _watch(self, health: HealthCheck, run: Run) -> None:
        """Stop the run when it is unhealthy; be there no longer than it is."""
        await _first_of(health.run(), run.over.wait())
        health.end()
        if run.over.is_set():
            return
        run.unhealthy = True
        with contextlib.suppress(TaskFailed):  # it was abandoned: `wait` says so
            await run.stop(self.grace_s)


async def _first_of(*awaited: Coroutine[Any, Any, object]) -> None:
    """Return when one of them does, and cancel the others."""
    tasks = [asyncio.create_task(each) for each in awaited]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
