"""Published ports that are listened at, and which tasks hold them open.

- An entrance is opened by the first task of its service that starts here, and closed when the last one has ended: where
  there is no task, nobody is listened to.
- The allocator gives a port to one service at a time. So when another service's task comes with it, the port is that
  one's now, although tasks of the former may still be ending; their connections go on.
- A port that cannot be opened is the failure of the task that wanted it, and nobody else's.
"""

import os
import socket
from collections.abc import Sequence

from msgspec import Struct
from skep.ports.executor import TaskFailed

from skep_adapters.mesh.rotation import Rotation
from skep_adapters.mesh.tcp import Relays, TcpPort
from skep_adapters.mesh.udp import UdpPort

#: How often a free port is looked for that is free at every address.
_DRAWS = 20


class Wanted(Struct, frozen=True):
    """A port that a task is published at: `owner` is its service, or the task itself where the port is its node's.

    `number` 0 is any that is free. `target` is where the task listens.
    """

    owner: str
    protocol: str
    addrs: tuple[str, ...]
    number: int
    target: int
    of_node: bool = False

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return f"{self.number}/{self.protocol}"


class Entrance:
    """A port that is listened at."""

    def __init__(self, wanted: Wanted, number: int, port: TcpPort | UdpPort) -> None:
        self.wanted = wanted
        self.number = number
        self.rotation = port.rotation
        self.port = port
        self.holders: set[str] = set()


class Entrances:
    """All entrances of a mesh."""

    def __init__(self, relays: Relays) -> None:
        self._relays = relays
        self._open: dict[tuple[str, tuple[str, ...], int], Entrance] = {}

    async def hold(self, task_id: str, wanted: Wanted) -> Entrance:
        """Return the entrance that is `wanted`, and keep it open until the task lets it go.

        Raises:
            TaskFailed: the port cannot be opened.
        """
        known = self._open.get((wanted.protocol, wanted.addrs, wanted.number)) if wanted.number else None
        if known is not None and known.wanted.owner == wanted.owner:
            known.holders.add(task_id)
            return known
        if known is not None and (known.wanted.of_node or wanted.of_node):
            raise TaskFailed(f"published port {wanted.shown} cannot be opened: another task here has it")
        if known is not None:
            self._close(known)
        port = TcpPort(self._relays, Rotation()) if wanted.protocol == "tcp" else UdpPort(Rotation())
        number, listening = _bind(wanted, type(port))
        entrance = Entrance(wanted, number, port)
        entrance.holders.add(task_id)
        self._open[wanted.protocol, wanted.addrs, number] = entrance
        await port.serve(listening)
        return entrance

    def release(self, task_id: str, entrance: Entrance) -> None:
        """Let it go; the last one closes it. Idempotent."""
        entrance.holders.discard(task_id)
        if not entrance.holders:
            self._close(entrance)

    def close(self) -> None:
        """Close all."""
        for entrance in list(self._open.values()):
            self._close(entrance)

    def _close(self, entrance: Entrance) -> None:
        key = (entrance.wanted.protocol, entrance.wanted.addrs, entrance.number)
        if self._open.get(key) is entrance:
            del self._open[key]
            entrance.port.close()


def _bind(wanted: Wanted, kind: type[TcpPort | UdpPort]) -> tuple[int, list[socket.socket]]:
    """Return the number, and a socket for each address. Raises `TaskFailed`."""
    for draw in range(_DRAWS):
        number, listening = wanted.number, list[socket.socket]()
        try:
            for addr in wanted.addrs:
                listening.append(kind.bind(addr, number))
                number = listening[-1].getsockname()[1]
        except OSError as error:
            for each in listening:
                each.close()
            if wanted.number or draw == _DRAWS - 1:
                why = os.strerror(error.errno) if error.errno else str(error)
                where = f"{addr}:{number}"
                raise TaskFailed(f"published port {wanted.shown} cannot be opened: {where}: {why}") from None
        else:
            return number, listening
    raise AssertionError("the last draw returns or raises")


def usable(addrs: Sequence[str]) -> dict[str, str]:
    """Return for each address why nothing can listen there; empty where something can."""
    found = {}
    for addr in addrs:
        try:
            TcpPort.bind(addr, 0).close()
        except OSError as error:
            found[addr] = os.strerror(error.errno) if error.errno else str(error)
        else:
            found[addr] = ""
    return found
