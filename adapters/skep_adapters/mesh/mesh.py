"""The mesh of one process's nodes.

    async with Mesh.open() as mesh:
        async with Cluster.open(nodes=3, executor=mesh.over(make_executor)) as cluster:
            ...

Published ports are listened at on `addrs`: the loopback's, and those by which others reach this machine. Never on all
addresses: that would take the port from tasks that listen on it at their own.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from skep.ports.link import AssignedTask
from skep.runtime.engine import ExecutorFactory
from skep.runtime.error_groups import only
from skep.runtime.task_addresses import TaskAddresses

from skep_adapters.mesh.block import claim_block
from skep_adapters.mesh.controller import LISTEN_S
from skep_adapters.mesh.entrances import Entrances, usable
from skep_adapters.mesh.executor import MeshExecutor
from skep_adapters.mesh.name_server import NameServer
from skep_adapters.mesh.names import Names, networks_of
from skep_adapters.mesh.open_ports import OpenPorts
from skep_adapters.mesh.tcp import Relays

LOOPBACK = "127.0.0.1"

_log = structlog.get_logger("skep.mesh")


class _Server:
    """A server of names and the tasks that were told of it."""

    def __init__(self, server: NameServer) -> None:
        self.server = server
        self.tasks: set[str] = set()


class Mesh:
    """Made by `Mesh.open`."""

    def __init__(
        self, addresses: TaskAddresses, addrs: tuple[str, ...], group: asyncio.TaskGroup, *, listen_s: float
    ) -> None:
        #: the pool of which every task has its address: executors that want one take it from here
        self.addresses = addresses
        self.addrs = addrs
        self.listen_s = listen_s
        self.names = Names()
        self.open_ports = OpenPorts()
        self._group = group
        self._relays = Relays(group)
        self.entrances = Entrances(self._relays)
        self._names_addr = addresses.give("names")
        self._servers: dict[tuple[str, ...], _Server] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, addrs: Sequence[str] = (LOOPBACK,), *, listen_s: float = LISTEN_S) -> AsyncIterator["Mesh"]:
        """Open a mesh that publishes ports at `addrs`; those that this machine does not have are left out and told.

        A published task has `listen_s` seconds until it listens at its address.

        Raises:
            OSError: no block of loopback addresses is free.
        """
        claim = claim_block()
        try:
            async with asyncio.TaskGroup() as group:
                mesh = cls(TaskAddresses(claim.block), _had(addrs), group, listen_s=listen_s)
                try:
                    yield mesh
                finally:
                    mesh._close()
        except BaseExceptionGroup as failed:
            raise only(failed) from None
        finally:
            claim.close()

    def over(self, executors: ExecutorFactory) -> ExecutorFactory:
        """Return what makes executors as `executors` does, whose tasks are in this mesh.

        The ports of a node's own are published at `addrs` for the first node, and for each other one at a loopback
        address of its own, since they share the machine.
        """

        def make(name: str, number: int) -> MeshExecutor | None:
            inner = executors(name, number)
            if inner is None:
                return None
            node = self.addrs if number == 1 else (self.addresses.give(f"node {name}"),)
            return MeshExecutor(inner, self, node=node)

        return make

    def name_server(self, task: AssignedTask) -> str:
        """Return where the task asks for names, `host:port`; kept until the task is let go.

        Raises:
            OSError: there is no port left for a server.
        """
        networks = networks_of(task)
        known = self._servers.get(networks)
        if known is None:
            server = NameServer(self._names_addr, lambda name: self.names.find(name, networks))
            known = self._servers[networks] = _Server(server)
            self._group.create_task(server.serve())
        known.tasks.add(task.id)
        return known.server.addr

    def let_go(self, task: AssignedTask) -> None:
        """Close its server of names, if nobody else has that."""
        networks = networks_of(task)
        known = self._servers.get(networks)
        if known is not None:
            known.tasks.discard(task.id)
            if not known.tasks:
                del self._servers[networks]
                known.server.close()

    def _close(self) -> None:
        self.entrances.close()
        self._relays.close()
        for known in self._servers.values():
            known.server.close()
        self._servers.clear()


def _had(addrs: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that this machine has, each once."""
    found = usable(tuple(dict.fromkeys(addrs)))
    for addr, why in found.items():
        if why:
            _log.warning("mesh.address_left_out", addr=addr, reason=why)
    return tuple(addr for addr, why in found.items() if not why) or (LOOPBACK,)
