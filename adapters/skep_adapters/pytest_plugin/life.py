"""The engine of one test: its disk, its nodes and their cables, its clock and its socket.

All of it runs in the engine's loop.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import anyio
from skep.model.ids import NANOSECONDS, Instant, NodeId
from skep.model.service import ServiceSpec
from skep.model.states import NodeState
from skep.ports.executor import Executor
from skep.ports.link import AssignedTask, Link
from skep.runtime import watching
from skep.runtime.cluster import Cluster
from skep.runtime.coroutines.images import Images, full_name
from skep.runtime.engine import Engine, ExecutorFactory
from skep.runtime.simulated import Behaviour, SimulatedExecutor, describe_node
from skep.runtime.turn import Durable
from skep.testing.flight import FlyingLoop
from skep.testing.simulation.cable import Cable
from skep.testing.simulation.disk import Disk
from skep.testing.virtual import VirtualClock

from skep_adapters.docker_api import DockerApi
from skep_adapters.pytest_plugin.failing import Mischief
from skep_adapters.pytest_plugin.options import Options

if TYPE_CHECKING:
    from skep_adapters.mesh.mesh import Mesh
    from skep_adapters.process.volumes import DirectoryVolumes

#: Time flies for so long after a person asked for something: a service that fails for ever would never end that.
FLIES_S_MAX = 600.0

#: Clients are waited for as if there were no time: a minute that flies by is none for them.
PATIENCE = 1e6

#: How long a new swarm may take to have its nodes.
READY_S = 10.0

#: How long processes have to end when their test is over.
STOP_S = 1.0

STEADY = Behaviour()


class Outside:
    """What the cables of an engine lead to; no report of an agent meets with a mishap here."""

    def __init__(self, engine: Engine, clock: VirtualClock) -> None:
        self.engine: Engine | None = engine
        self.clock = clock
        self.draw = SystemRandom().randbytes
        self.draw_s = SystemRandom().uniform

    def note(self, mark: str) -> None:
        """Note nothing."""

    def later(self, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
        """Do nothing later: only mishaps ask for it."""


class Life:
    """The engine of one test. `loop` is the one that it lives in; `folder` is its own, and `path` its socket."""

    def __init__(self, options: Options, loop: FlyingLoop, folder: Path, path: Path) -> None:
        self.options = options
        self.loop = loop
        # the log's dates are today's, as far as nothing flies by
        self.clock = VirtualClock(Instant(time.time_ns() - round(loop.time() * NANOSECONDS)))
        self.disk = Disk(SystemRandom(), lambda _mark: None, lambda: None, append_s=0.0)
        self.mischief = Mischief()
        self.behaviours = {full_name(i): said for i, said in options.images.items() if isinstance(said, Behaviour)}
        self.cables: dict[NodeId, Cable] = {}
        self._outside: Outside | None = None
        self._cluster: Cluster | None = None
        self._mesh: Mesh | None = None
        self._volumes: DirectoryVolumes | None = None
        self._folder = folder
        self._path = path
        self._flies_until = 0.0

    @property
    def cluster(self) -> Cluster:
        """The cluster, while it is open."""
        assert self._cluster is not None  # noqa: S101 - nobody is given a life that has not begun
        return self._cluster

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have a swarm, with all its nodes ready, behind the socket."""
        async with self._meshed(), self._opened():
            yield

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with Cluster.open(
            storage=self.disk,
            executor=self._make_executor(),
            images=self._coroutines(),
            mesh=self.mischief,
            nodes=self.options.nodes,
            init=self.options.init,
            clock=self.clock,
            wire=self._wire,
        ) as self._cluster:
            if self._cluster.active:
                for node_id in await self._cluster.read(lambda state: [*state.nodes]):
                    await self._cluster.ready(node_id, timeout_s=READY_S)
            self.asked()
            self.loop.may_fly_s = self._may_fly_s if self.options.time == "virtual" else lambda: 0.0
            api = DockerApi(self._cluster, unsupported=self._unsupported(), volumes=self._volumes, patience=PATIENCE)
            try:
                async with api.serve_unix(self._path, mode=0o600):
                    yield
            finally:
                self.loop.may_fly_s = lambda: 0.0

    # --- time

    def asked(self) -> None:
        """Let time fly: somebody outside did something."""
        self._flies_until = self.loop.time() + FLIES_S_MAX

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let time fly where it is virtual: nobody does anything but wait."""
        if self.options.time == "virtual":
            with self.loop.flying():
                yield
        else:
            yield

    def under_way(self) -> str:
        """Say what the swarm is about to do; empty if it is at rest, or cannot do anything."""
        if not self.cluster.active or self.disk.full:
            return ""
        state = self.cluster.engine.writer.state
        if lacking := watching.missing(state, None):
            return lacking
        heard = {node.id for node in state.nodes.values() if node.status.state is NodeState.READY}
        for node_id, cable in self.cables.items():
            node = state.nodes.get(node_id)
            if node is None:
                continue
            if cable.cut and node.status.state is not NodeState.DOWN:
                return f"{node.description.hostname} is cut off, and not down yet"
            if not cable.cut and node_id not in heard:
                return f"{node.description.hostname} is {node.status.state.value}"
        for service_id in state.service_tasks:
            if service_id not in state.services and any(task.node_id in heard for task in state.tasks_of(service_id)):
                return f"tasks of service {service_id}, which was removed, are not gone yet"
        return ""

    async def comes(self, holds: Callable[[], bool], *, timeout_s: float) -> None:
        """Return when something holds, or when the swarm has ended, or after `timeout_s` seconds of its own time."""
        if not self.cluster.active:
            return
        with self.waiting(), anyio.move_on_after(timeout_s):
            async with aclosing(watching.durable(self.cluster.engine)) as groups:
                async for _ in groups:
                    if holds():
                        return

    def _may_fly_s(self) -> float:
        left_s = self._flies_until - self.loop.time()
        return left_s if left_s > 0 and self.under_way() else 0.0

    # --- what the engine is given

    def _wire(self, engine: Engine, node_id: NodeId) -> Link:
        if self._outside is None or self._outside.engine is not engine:
            self._outside = Outside(engine, self.clock)
            self.cables.clear()
            engine.writer.on_durable.append(self._look)
        cable = self.cables[node_id] = Cable(self._outside, node_id)
        return cable

    def _look(self, durable: Durable) -> None:
        if any(record.actor.kind == "person" for record in durable.records):
            self.asked()

    def _coroutines(self) -> Images:
        images = Images()
        for name, said in self.options.images.items():
            if iscoroutinefunction(said):
                images.bind(name)(said)
        return images

    def _make_executor(self) -> ExecutorFactory:
        executor = self.options.executor
        if executor == "simulated":
            return lambda name, _number: SimulatedExecutor(
                self._behave, clock=self.clock, description=describe_node(name)
            )
        if executor == "process":
            return self._processes()
        return executor

    @asynccontextmanager
    async def _meshed(self) -> AsyncIterator[None]:
        """Have a mesh and volumes, where tasks are processes."""
        if self.options.executor != "process":
            yield
            return
        from skep_adapters.mesh.mesh import Mesh  # noqa: PLC0415 - only this kind needs it
        from skep_adapters.process.volumes import DirectoryVolumes  # noqa: PLC0415 - likewise

        self._volumes = DirectoryVolumes(self._folder / "volumes")
        async with Mesh.open() as self._mesh:
            self.mischief.mesh = self._mesh
            yield

    def _processes(self) -> ExecutorFactory:
        from skep_adapters.process.executor import ProcessExecutor  # noqa: PLC0415 - only this kind needs it

        assert self._mesh is not None  # noqa: S101 - opened before
        addresses, volumes = self._mesh.addresses, self._volumes
        catalog = {name: said for name, said in self.options.images.items() if isinstance(said, Sequence)}

        def make(name: str, _number: int) -> Executor:
            directory = self._folder / name
            directory.mkdir(mode=0o700, exist_ok=True)
            return ProcessExecutor(
                directory, catalog=catalog, hostname=name, addresses=addresses, volumes=volumes, stop_s=STOP_S
            )

        return make

    def _unsupported(self) -> Callable[[ServiceSpec], tuple[str, ...]] | None:
        if self.options.executor != "process":
            return None
        from skep_adapters.process.cgroups import find_hierarchies, limits_of  # noqa: PLC0415 - only this kind needs it
        from skep_adapters.process.recipe import fields_without_effect  # noqa: PLC0415 - likewise

        limits = limits_of(find_hierarchies())
        return lambda spec: tuple(fields_without_effect(spec.template, limits))

    def _behave(self, task: AssignedTask) -> Behaviour:
        container = task.template.spec.container_spec
        return self.behaviours.get(full_name(container.image), STEADY) if container else STEADY
