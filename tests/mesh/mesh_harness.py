"""What the tests of the mesh share: tasks that are coroutines of the test, on real sockets."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from skep.model.container import ContainerSpec
from skep.model.ids import ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import Network, NetworkSpec
from skep.model.node import NodeDescription
from skep.model.service import Endpoint, PortConfig, TaskSpec, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, TaskStatus
from skep.ports.executor import LineSink, TaskFailed
from skep.ports.link import AssignedConfig, AssignedNetwork, AssignedSecret, AssignedTask
from skep_adapters.mesh.controller import MeshController
from skep_adapters.mesh.executor import MeshExecutor
from skep_adapters.mesh.mesh import Mesh

_numbers = itertools.count(1)

#: What a task does: given its environment, it runs until it is cancelled.
Program = Callable[[Mapping[str, str]], Awaitable[None]]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def network(name: str, **fields: Any) -> Network:
    zero = {"version": Position(1), "written": Position(1), "created_at": Instant(0), "updated_at": Instant(0)}
    return Network(id=NetworkId(f"id-{name}"), spec=NetworkSpec(name=name, **fields), **zero)  # type: ignore[arg-type]  # of one type each


def task_of(
    service: str = "web",
    *,
    ports: tuple[PortConfig, ...] = (),
    networks: tuple[AssignedNetwork, ...] = (),
    **container: Any,
) -> AssignedTask:
    """Return a task whose service was given the ports that it asked for."""
    number = next(_numbers)
    template = TaskTemplate(
        service_name=service, spec=TaskSpec(container_spec=ContainerSpec(image="none", **container)), ports=ports
    )
    return AssignedTask(
        id=TaskId(f"task{number:021}"),
        service_id=ServiceId(f"id-{service}"),
        service_name=service,
        slot=number,
        node_id=NodeId("node-1"),
        node_hostname="host-1",
        service_labels={},
        spec_version=Position(1),
        template=template,
        desired=TaskState.RUNNING,
        status=TaskStatus(state=TaskState.ASSIGNED, at=Instant(0)),
        networks=networks,
        endpoint=Endpoint(ports=ports),
    )


class Running:
    """A `TaskController` of a coroutine."""

    def __init__(self, program: Program, env: Mapping[str, str]) -> None:
        self._program = program
        self._env = env
        self._task: asyncio.Task[None] | None = None
        self.stopped_with: float | None = None

    @property
    def status(self) -> ContainerStatus | None:
        return None

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        return ()

    async def prepare(self) -> None:
        return

    async def start(self) -> None:
        self._task = asyncio.ensure_future(self._program(self._env))

    async def wait(self) -> None:
        assert self._task is not None
        done, _ = await asyncio.wait({self._task})
        for each in done:
            if not each.cancelled() and each.exception() is not None:
                raise TaskFailed("task: non-zero exit (1)", exit_code=1)

    async def stop(self, grace_s: float) -> None:
        if self._task is not None and not self._task.done():
            self.stopped_with = grace_s
            self._task.cancel()
            await asyncio.wait({self._task})

    async def remove(self) -> None:
        await self.stop(0)


class Programs:
    """An `Executor` whose images are programs, by name of their service."""

    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}
        self.made: dict[str, Running] = {}

    async def open(self, sink: LineSink) -> None:  # noqa: ARG002  # they print nothing
        return

    def describe(self) -> NodeDescription:
        return NodeDescription(hostname="host-1")

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],  # noqa: ARG002  # they have none
        configs: Mapping[ConfigId, AssignedConfig],  # noqa: ARG002  # likewise
    ) -> Running:
        spec = task.template.spec.container_spec
        assert spec is not None
        env = dict(each.split("=", 1) for each in spec.env)
        self.made[task.id] = Running(self.programs[task.service_name], env)
        return self.made[task.id]

    async def aclose(self) -> None:
        for each in self.made.values():
            await each.stop(0)


class Swarm:
    """One node in a mesh."""

    def __init__(self, mesh: Mesh, programs: Programs, executor: MeshExecutor) -> None:
        self.mesh = mesh
        self.programs = programs
        self.executor = executor

    def controller(self, task: AssignedTask, program: Program) -> MeshController:
        self.programs.programs[task.service_name] = program
        return self.executor.controller(task, secrets={}, configs={})

    async def started(self, task: AssignedTask, program: Program) -> MeshController:
        controller = self.controller(task, program)
        await controller.prepare()
        await controller.start()
        return controller


@contextlib.asynccontextmanager
async def opened(*, node: int = 1, **options: Any) -> AsyncIterator[Swarm]:
    """Open a mesh over one node, whose number is `node`."""
    programs = Programs()
    async with Mesh.open(**options) as mesh:
        executor = mesh.over(lambda _name, _number: programs)("node", node)
        assert isinstance(executor, MeshExecutor)
        try:
            yield Swarm(mesh, programs, executor)
        finally:
            await executor.aclose()


def echo(target: int, word: str = "", *, addr: str = "") -> Program:
    """Return a program that says its address, or `word`, to each client, then what the client says, to its end."""

    async def run(env: Mapping[str, str]) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(f"{word or env['SKEP_TASK_ADDR']}\n".encode())
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            except (OSError, asyncio.CancelledError):
                return
            finally:
                writer.close()

        server = await asyncio.start_server(serve, addr or env["SKEP_TASK_ADDR"], target)
        async with server:
            await server.serve_forever()

    return run


async def idle(_: Mapping[str, str]) -> None:
    await asyncio.Event().wait()


async def hear(port: int, addr: str = "127.0.0.1") -> str:
    """Return the first line that is said at a port; empty if the connection is broken at once."""
    reader, writer = await asyncio.open_connection(addr, port)
    try:
        return (await reader.readline()).decode().strip()
    except ConnectionError:
        return ""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
