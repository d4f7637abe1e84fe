"""One task in the mesh: its executor's controller, and around it when the task may be reached.

| step | what the mesh does |
|---|---|
| start | opens its published ports; starts it; waits until it listens where it has to; then gives it connections |
| it ends | gives it nothing any more |
| stop | gives it nothing new, waits a moment for its connections to end, then lets it be stopped |
| removed | its address is free |
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus
from skep.ports.executor import TaskController, TaskFailed
from skep.ports.link import AssignedTask
from skep.runtime.agent_task import stop_grace_s

from skep_adapters.mesh.entrances import Entrance, Entrances
from skep_adapters.mesh.names import Names
from skep_adapters.mesh.open_ports import OpenPorts
from skep_adapters.mesh.published import wanted_ports
from skep_adapters.mesh.rotation import Backend

#: How long a task that is stopped has for its connections before it is told to stop; then it has its grace for them.
#: Swarm's engines wait as long, whether there are any or not.
DRAIN_S = 2.0

#: How long a task may take from its start, or from being healthy, until it listens.
LISTEN_S = 30.0


class Surroundings(Protocol):
    """What a task needs of its mesh."""

    entrances: Entrances
    names: Names
    open_ports: OpenPorts
    addrs: tuple[str, ...]
    listen_s: float


class _Way(Struct):
    """A published port of the task."""

    port: PortConfig
    target: int
    entrance: Entrance


class MeshController:
    """Implements `TaskController` around that of an executor. `forget` is told when the task is removed.

    With it is told whether the task goes on, since it could not be ended: its address is not free then.
    """

    def __init__(
        self,
        task: AssignedTask,
        inner: TaskController,
        mesh: Surroundings,
        *,
        addr: str,
        node: Sequence[str],
        forget: Callable[[AssignedTask, bool], None],
    ) -> None:
        self._forget = forget
        self._task = task
        self._inner = inner
        self._mesh = mesh
        self._node = node
        self._backend = Backend(task.id, addr)
        self._ways: list[_Way] = []
        self._open = False
        self._stopping = self._goes_on = False

    @property
    def status(self) -> ContainerStatus | None:
        """What the executor knows."""
        return self._inner.status

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """Ports of the node that it got, and what the executor gave it."""
        own = [
            replace(way.port, published_port=way.entrance.number) for way in self._ways if way.entrance.wanted.of_node
        ]
        return (*self._inner.ports, *own)

    async def prepare(self) -> None:
        """Prepare it, if its ports can be published at all."""
        list(wanted_ports(self._task, everywhere=self._mesh.addrs, node=self._node))
        await self._inner.prepare()

    async def start(self) -> None:
        """Start it; return when it is reached at its published ports and by its names.

        Raises:
            TaskFailed: it did not start, a port cannot be opened, or it does not listen where it has to.
        """
        if not self._open:
            await self._hold()
            try:
                await self._inner.start()
                await self._listens()
            except TaskFailed:
                try:
                    await self._inner.stop(stop_grace_s(self._task))
                finally:
                    self._leave()
                raise
            if not self._stopping:
                self._enter()

    async def wait(self) -> None:
        """Return when it ended with exit code 0; from its end on it is reached no more."""
        try:
            await self._inner.wait()
        except asyncio.CancelledError:
            raise  # it is being stopped, and its connections are to be drained
        except BaseException:
            self._leave()
            raise
        self._leave()

    async def stop(self, grace_s: float) -> None:
        """Give it nothing new, and stop it when its connections have ended, or have had their moment."""
        self._stopping = True
        self._withdraw()
        await self._backend.drained(min(DRAIN_S, max(grace_s, 0.0)))
        try:
            await self._inner.stop(grace_s)
        except TaskFailed:
            self._goes_on = True
            raise
        finally:
            self._leave()

    async def remove(self) -> None:
        """Leave nothing of it."""
        self._stopping = True
        self._withdraw()
        await self._inner.remove()
        self._leave()
        self._forget(self._task, self._goes_on)

    def bury(self) -> None:
        """Leave the mesh, since the executor was closed: it has ended the task."""
        self._stopping = True
        self._leave()
        self._forget(self._task, self._goes_on)

    async def _hold(self) -> None:
        for port, wanted in wanted_ports(self._task, everywhere=self._mesh.addrs, node=self._node):
            if not any(way.port is port for way in self._ways):
                try:
                    entrance = await self._mesh.entrances.hold(self._task.id, wanted)
                except TaskFailed:
                    self._leave()
                    raise
                self._ways.append(_Way(port, wanted.target, entrance))

    async def _listens(self) -> None:
        """Return when it listens where it is published, or has ended well.

        Raises:
            TaskFailed: it ended badly, or listens elsewhere.
        """
        open_ports = self._mesh.open_ports
        if not self._ways or not open_ports.known:
            return
        ended = asyncio.ensure_future(self._inner.wait())
        looking = asyncio.ensure_future(self._look())
        try:
            await asyncio.wait((ended, looking), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            elif (missing := looking.result()) is not None:
                raise TaskFailed(self._elsewhere(missing))
        finally:
            for each in (ended, looking):
                each.cancel()
            await asyncio.gather(ended, looking, return_exceptions=True)

    async def _look(self) -> _Way | None:
        """Return the first port at which nothing listens in time."""
        try:
            async with asyncio.timeout(self._mesh.listen_s):
                for way in self._ways:
                    missing = way
                    await self._mesh.open_ports.opened(way.entrance.wanted.protocol, self._backend.addr, way.target)
        except TimeoutError:
            return missing
        return None

    def _elsewhere(self, way: _Way) -> str:
        protocol, addr = way.entrance.wanted.protocol, self._backend.addr
        said = (
            f"published port {way.entrance.number}/{protocol}: nothing listens at {addr}:{way.target} "
            f"{self._mesh.listen_s:g} s after the task started: it must listen at its own address (SKEP_TASK_ADDR), "
            f"on the target port"
        )
        if wide := sorted(self._mesh.open_ports.addresses(protocol, way.target) & {"0.0.0.0", "::"}):  # noqa: S104  # it is what is complained of
            said += f"; something here listens at {wide[0]}, which is every address"
        return said

    def _enter(self) -> None:
        self._open = True
        for way in self._ways:
            way.entrance.rotation.add(self._backend, way.target)
        self._mesh.names.add(self._task, self._backend.addr)

    def _withdraw(self) -> None:
        for way in self._ways:
            way.entrance.rotation.remove(self._backend)
        self._mesh.names.remove(self._task)

    def _leave(self) -> None:
        """Have no part in the mesh any more. Idempotent."""
        self._withdraw()
        for way in self._ways:
            self._mesh.entrances.release(self._task.id, way.entrance)
