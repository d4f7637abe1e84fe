"""UDP through the mesh: what one client sends goes to one task, and what the task answers goes back to that client.

A *flow* is a client's way to its task: a socket of its own, so that answers find back. It ends when nothing passed for
a while, and when others need its place: the one that was silent longest goes first.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable

from skep_adapters.mesh.rotation import Backend, Rotation

#: Flows through one published port; each takes a file, of the 65,536 of a daemon.
FLOWS_MAX = 1024

#: How long a flow is kept in which nothing passes; a firewall's usual time is less.
IDLE_S = 60.0

#: Datagrams that are taken in one go, so that a flood leaves the loop to others.
_AT_ONCE = 64

_DATAGRAM_BYTES = 65_535

Address = tuple[str, int]


class _Flow:
    """One client's way to one task."""

    __slots__ = ("_back", "_loop", "backend", "passed_at", "sock")

    def __init__(self, backend: Backend, target: int, back: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.backend = backend
        self._back = back
        self.passed_at = self._loop.time()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        try:
            self.sock.connect((backend.addr, target))
        except OSError:
            self.sock.close()
            raise
        self._loop.add_reader(self.sock, self._answer)

    def _answer(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self.sock.recv(_DATAGRAM_BYTES)
            except OSError:
                return  # nothing more, or nobody listens there any more: the next datagram finds out
            self.passed_at = self._loop.time()
            self._back(data)

    def close(self) -> None:
        self._loop.remove_reader(self.sock)
        self.sock.close()


class UdpPort:
    """A published port: takes datagrams until it is closed."""

    def __init__(self, rotation: Rotation, *, flows_max: int = FLOWS_MAX, idle_s: float = IDLE_S) -> None:
        self.rotation = rotation
        self._flows_max = flows_max
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        #: by the socket that the client sends to, and the client; the one that was used last is the last
        self._flows: OrderedDict[tuple[int, Address], _Flow] = OrderedDict()
        self._sweeping: asyncio.TimerHandle | None = None

    @staticmethod
    def bind(addr: str, number: int) -> socket.socket:
        """Return a socket that is bound there. Raises `OSError`."""
        listening = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            listening.setblocking(False)
            listening.bind((addr, number))
        except OSError:
            listening.close()
            raise
        return listening

    async def serve(self, listening: list[socket.socket]) -> None:
        """Take what comes to all of them from now on."""
        for each in listening:
            self._listening.append(each)
            self._loop.add_reader(each, self._take, each)

    @property
    def flows(self) -> int:
        """How many there are."""
        return len(self._flows)

    def close(self) -> None:
        """Take nothing more, and forget every client."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _take(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, client = listening.recvfrom(_DATAGRAM_BYTES)
            except OSError:
                return
            self._pass_on(listening, data, client)

    def _pass_on(self, listening: socket.socket, data: bytes, client: Address) -> None:
        """Send to the client's task; to another if that one takes nothing any more."""
        key = (listening.fileno(), client)
        flow = self._flows.get(key)
        if flow is not None and not self.rotation.has(flow.backend):
            self._forget(key)
            flow = None
        if flow is not None and _sent(flow, data):
            flow.passed_at = self._loop.time()
            self._flows.move_to_end(key)
            return
        if flow is not None:
            self._forget(key)
        for backend, target in self.rotation.next():
            try:
                flow = _Flow(backend, target, lambda answer: _send_back(listening, answer, client))
            except OSError:
                continue
            self._flows[key] = flow
            if _sent(flow, data):
                break
            self._forget(key)
        while len(self._flows) > self._flows_max:
            self._forget(next(iter(self._flows)))
        if self._sweeping is None and self._flows:
            self._sweeping = self._loop.call_later(self._idle_s / 2, self._sweep)

    def _forget(self, key: tuple[int, Address]) -> None:
        self._flows.pop(key).close()

    def _sweep(self) -> None:
        now = self._loop.time()
        for key in [key for key, flow in self._flows.items() if now - flow.passed_at >= self._idle_s]:
            self._forget(key)
        self._sweeping = self._loop.call_later(self._idle_s / 2, self._sweep) if self._flows else None


def _sent(flow: _Flow, data: bytes) -> bool:
    """Return False if the task took nothing the last time; a full buffer loses the datagram, as networks do."""
    try:
        flow.sock.send(data)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _send_back(listening: socket.socket, data: bytes, client: Address) -> None:
    try:
        listening.sendto(data, client)
    except OSError:
        return  # it is gone, or its buffer is full: a datagram may be lost
