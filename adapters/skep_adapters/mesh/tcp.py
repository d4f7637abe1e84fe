"""TCP through the mesh: each connection is given to a task whose turn it is, and its bytes are carried both ways.

- What one side sends and the other does not take is bounded: the sender is not read while the other's buffer is full.
- An end of one direction is passed on as such; a broken connection breaks the other.
- A task that does not take a connection is passed over; if none takes it, the client is refused, by a reset.
"""

import asyncio
import socket
import struct

import structlog

from skep_adapters.mesh.rotation import Backend, Rotation

#: Connections through one mesh, and through one published port of it. Each takes two files, of the 65,536 of a daemon.
CONNECTIONS_MAX = 16_384
PORT_CONNECTIONS_MAX = 8_192

#: The most that is read at once.
READ_BYTES = 64 * 1024

#: A side that has more than this to be sent makes the other wait.
BUFFER_BYTES = 128 * 1024

#: How long a task may take to accept a connection: on one machine that is no matter of distance.
CONNECT_S = 5.0

#: A client that vanished is noticed after two minutes: seconds of silence, between questions, and questions.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))

_BACKLOG = 1024

_RESET = struct.pack("ii", 1, 0)

_log = structlog.get_logger("skep.mesh")


class Relays:
    """All connections through a mesh. `group` is where they are begun."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.clients: set[Client] = set()
        #: Read into by all, since it is emptied before anybody else reads.
        self.buffer = memoryview(bytearray(READ_BYTES))

    def close(self) -> None:
        """Break every connection."""
        for client in list(self.clients):
            client.reset()


class _Side(asyncio.BufferedProtocol):
    """One end of a connection; `peer` is the other, once there is one."""

    def __init__(self, relays: Relays) -> None:
        self._relays = relays
        self._held = b""
        self._ended = False
        self.peer: _Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # of a stream socket
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the loop gives it
        return self._relays.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._relays.buffer[:nbytes])
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)
        elif self.transport is not None:  # a client that speaks before it has a task
            self._held += data
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self._pass_on_end()
        return True

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        peer = self.peer
        if peer is None or peer.transport is None:
            return
        if exc is not None:
            peer.reset()
        else:
            peer.transport.close()

    def join(self, peer: "_Side") -> None:
        """Carry on what came before there was a peer."""
        self.peer = peer
        if peer.transport is not None and self._held:
            peer.transport.write(self._held)
            self._held = b""
        if self.transport is not None:
            self.transport.resume_reading()
        if self._ended:
            self._pass_on_end()

    def reset(self) -> None:
        """Break it, so that the other end knows that it did not end well."""
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def _pass_on_end(self) -> None:
        peer = self.peer
        if peer is None or peer.transport is None:
            return
        if peer._ended:  # noqa: SLF001  # the other half of the same thing
            peer.transport.close()
            if self.transport is not None:
                self.transport.close()
        elif peer.transport.can_write_eof() and not peer.transport.is_closing():
            peer.transport.write_eof()


class _Server(_Side):
    """The end at the task."""

    def __init__(self, relays: Relays, backend: Backend) -> None:
        super().__init__(relays)
        self._backend = backend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._backend.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.end()
        super().connection_lost(exc)


class Client(_Side):
    """The end at the client, from its being accepted on."""

    def __init__(self, relays: Relays, port: "TcpPort") -> None:
        super().__init__(relays)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look for a task, unless there are too many connections."""
        super().connection_made(transport)
        if not self._port.admit(self):
            self.reset()
            return
        self._relays.clients.add(self)
        self._relays.group.create_task(self._find_task())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._relays.clients.discard(self)
        self._port.clients.discard(self)
        super().connection_lost(exc)

    async def _find_task(self) -> None:
        loop = asyncio.get_running_loop()
        for backend, target in self._port.rotation.next():
            server = _Server(self._relays, backend)
            backend.begin()  # it counts while it is being made: nobody stops the task under it
            try:
                async with asyncio.timeout(CONNECT_S):
                    await loop.create_connection(lambda made=server: made, backend.addr, target)  # type: ignore[misc]  # mypy wants no default in a lambda
            except OSError:
                continue
            finally:
                backend.end()
            if self.transport is None or self.transport.is_closing():
                server.reset()
                return
            server.join(self)
            self.join(server)
            return
        self.reset()


class TcpPort:
    """A published port: listens until it is closed; connections go on."""

    def __init__(self, relays: Relays, rotation: Rotation) -> None:
        self.rotation = rotation
        self.clients: set[Client] = set()
        self._relays = relays
        self._servers: list[asyncio.Server] = []
        self._told = self._closed = False

    @staticmethod
    def bind(addr: str, number: int) -> socket.socket:
        """Return a socket that listens there. Raises `OSError`."""
        listening = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                listening.setsockopt(socket.IPPROTO_TCP, option, value)
            listening.bind((addr, number))
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening

    async def serve(self, listening: list[socket.socket]) -> None:
        """Accept at all of them from now on."""
        loop = asyncio.get_running_loop()
        for each in listening:
            server = await loop.create_server(lambda: Client(self._relays, self), sock=each, backlog=_BACKLOG)
            self._servers.append(server)
            if self._closed:  # meanwhile
                server.close()

    def admit(self, client: Client) -> bool:
        """Return whether another connection may begin."""
        if len(self.clients) >= PORT_CONNECTIONS_MAX or len(self._relays.clients) >= CONNECTIONS_MAX:
            if not self._told:
                _log.warning("mesh.too_many_connections", port=len(self.clients), all=len(self._relays.clients))
            self._told = True
            return False
        self.clients.add(client)
        return True

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        for server in self._servers:
            server.close()
