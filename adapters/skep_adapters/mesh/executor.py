"""An executor whose tasks are in the mesh: whatever runs them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace
from skep.model.container import ContainerSpec
from skep.model.ids import ConfigId, SecretId
from skep.model.node import NodeDescription
from skep.ports.executor import Executor, LineSink
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime import task_addresses
from skep.runtime.task_addresses import TaskAddresses

from skep_adapters.mesh.controller import MeshController, Surroundings

#: The variables by which a task finds the server of names, and the addresses at which its node's ports are published.
DNS_VARIABLE = "SKEP_DNS"
NODE_VARIABLE = "SKEP_NODE_ADDR"


class MeshSurroundings(Surroundings, Protocol):
    """What an executor needs of its mesh, too."""

    addresses: TaskAddresses

    def let_go(self, task: AssignedTask) -> None:
        """Take back its server of names."""
        ...

    def name_server(self, task: AssignedTask) -> str:
        """Return where the task asks for names, `host:port`; kept until the task is let go.

        Raises:
            OSError: there is no port left for a server.
        """
        ...


class MeshExecutor:
    """Implements `skep.ports.executor.Executor` around another; `node` are the addresses of its node's own ports."""

    def __init__(self, inner: Executor, mesh: MeshSurroundings, *, node: Sequence[str]) -> None:
        self._inner = inner
        self._mesh = mesh
        self._node = node
        self._controllers: dict[str, MeshController] = {}

    async def open(self, sink: LineSink) -> None:
        """Open the executor."""
        await self._inner.open(sink)

    def describe(self) -> NodeDescription:
        """Return what the executor says."""
        return self._inner.describe()

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> MeshController:
        """Return the controller of `task`, which finds in its environment how it is reached and reaches others.

        It is the same one until it is removed.
        """
        if task.id not in self._controllers:
            self._controllers[task.id] = self._make(task, secrets, configs)
        return self._controllers[task.id]

    async def aclose(self) -> None:
        """Close the executor, and with it every task: none of them is reached any more."""
        try:
            await self._inner.aclose()
        finally:
            for controller in list(self._controllers.values()):
                controller.bury()

    def _make(
        self,
        task: AssignedTask,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> MeshController:
        addr = self._mesh.addresses.give(task.id)
        told = {
            task_addresses.VARIABLE: addr,
            DNS_VARIABLE: self._mesh.name_server(task),
            NODE_VARIABLE: self._node[0],
        }
        inner = self._inner.controller(_telling(task, told), secrets=secrets, configs=configs)
        return MeshController(task, inner, self._mesh, addr=addr, node=self._node, forget=self._forget)

    def _forget(self, task: AssignedTask, goes_on: bool) -> None:
        self._controllers.pop(task.id, None)
        self._mesh.let_go(task)
        if not goes_on:  # else its executor frees it, whenever it ends
            self._mesh.addresses.free(task.id)


def _telling(task: AssignedTask, told: Mapping[str, str]) -> AssignedTask:
    """Return the task with these variables in its environment, whatever its spec says of them."""
    spec = task.template.spec
    container = spec.container_spec or ContainerSpec()
    own = [said for said in container.env if said.partition("=")[0] not in told]
    env = (*own, *(f"{name}={value}" for name, value in told.items()))
    return replace(
        task, template=replace(task.template, spec=replace(spec, container_spec=replace(container, env=env)))
    )
