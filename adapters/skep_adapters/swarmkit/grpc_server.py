"""A server of gRPC: runs the handlers of grpclib's stubs over `skep_adapters.swarmkit.http2`.

Handlers raise grpclib's `GRPCError`, and are given streams that have of grpclib's what they use. grpclib's own server
takes 0.4 ms of processor for a call, of which one that does only this takes a fifth; a worker makes one call for every
task that begins or ends.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import structlog
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from hpack import Encoder, NeverIndexedHeaderTuple

from skep_adapters.swarmkit.http2 import Headers, Http2Connection, Http2Stream

#: The largest message: reports and lines are far smaller, and a peer must not make us keep whatever it sends.
MESSAGE_BYTES_MAX = 4 * 1024 * 1024

#: Before each message: whether it is compressed, and its size.
HEAD_BYTES = 5

#: What is told of an error: it goes into a header.
WORDS_MAX = 1024

#: Digits of grpc-timeout.
TIMEOUT_DIGITS_MAX = 8

#: Seconds of a unit of grpc-timeout.
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

_log = structlog.get_logger("skep.swarmkit")


def _block(*headers: tuple[str, str]) -> bytes:
    """Return headers that are in no table."""
    return Encoder().encode([NeverIndexedHeaderTuple(name, value) for name, value in headers], huffman=False)


_BEGIN = (":status", "200"), ("content-type", "application/grpc")
_BEGUN = _block(*_BEGIN)
_WELL = _block(("grpc-status", "0"))


class Peer(Protocol):
    """Who is at the other end."""

    def cert(self) -> dict[str, Any] | None:
        """Return its certificate."""
        ...

    def addr(self) -> tuple[Any, ...] | None:
        """Return its address."""
        ...


class Call(Http2Stream):
    """A call, as its handler sees it."""

    def __init__(
        self, connection: Http2Connection, number: int, window: int, handler: Handler, timeout_s: float | None
    ) -> None:
        super().__init__(connection, number, window)
        self._handler = handler
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._fault: GRPCError | None = None
        self._came = asyncio.Event()
        self._begun = False
        self._done = False
        self.task: asyncio.Task[None] | None = None

    @property
    def peer(self) -> Peer:
        """Who calls."""
        return self.connection

    async def recv_message(self) -> Any:
        """Return the next message, None at the end.

        Raises:
            GRPCError: it is too large, or cannot be read.
        """
        while not self._messages:
            if self._fault is not None:
                raise self._fault
            if self.ended:
                return None
            self._came.clear()
            await self._came.wait()
        message = self._messages.popleft()
        if not self._messages:
            self.read()
        try:
            return self._handler.request_type.FromString(message)
        except ValueError:
            raise GRPCError(Status.INTERNAL, "the message cannot be read") from None

    async def send_message(self, message: Any) -> None:
        """Send a message."""
        body = message.SerializeToString()
        if not self._begun:
            self._begun = True
            self.connection.send_headers(self, _BEGUN, end=False)
        await self.connection.send_data(self, b"\0" + len(body).to_bytes(4, "big") + body)

    # --- what the connection calls

    def data(self, data: bytes) -> None:
        """Take what came; while nobody is behind with reading, more may come."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEAD_BYTES and self._fault is None:
            size = int.from_bytes(buffer[1:HEAD_BYTES], "big")
            if size > MESSAGE_BYTES_MAX:
                self._fault = GRPCError(
                    Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes; the most is {MESSAGE_BYTES_MAX}"
                )
            elif buffer[0]:
                self._fault = GRPCError(Status.UNIMPLEMENTED, "messages that are compressed are not taken")
            elif len(buffer) < HEAD_BYTES + size:
                break
            else:
                self._messages.append(bytes(buffer[HEAD_BYTES : HEAD_BYTES + size]))
                del buffer[: HEAD_BYTES + size]
        if self._fault is not None:
            buffer.clear()
        if not self._messages:
            self.read()
        self._came.set()

    def end(self) -> None:
        """Note that no more comes."""
        self._came.set()

    def reset(self) -> None:
        """End the handler."""
        self._done = True
        if self.task is not None:
            self.task.cancel()

    # --- the handler

    async def run(self) -> None:
        """Run the handler, and say how it ended."""
        try:
            if self._timeout_s is None:
                await self._handler.func(self)
            else:
                async with asyncio.timeout(self._timeout_s):
                    await self._handler.func(self)
        except GRPCError as error:
            self._end(error.status, error.message or "")
        except TimeoutError:
            self._end(Status.DEADLINE_EXCEEDED, "")
        except asyncio.CancelledError:
            self._end(Status.UNAVAILABLE, "the server ends")
            raise
        except Exception:  # noqa: BLE001 - one call fails, and says so; the others go on
            _log.exception("swarmkit.bug")
            self._end(Status.UNKNOWN, "Internal Server Error")
        else:
            self._end(Status.OK, "")

    def _end(self, status: Status, message: str) -> None:
        if self._done or self.connection.closing:
            return
        self._done = True
        if status is Status.OK and self._begun:
            self.connection.send_headers(self, _WELL, end=True)
            return
        said = ("grpc-status", str(status.value)), ("grpc-message", quote(message[:WORDS_MAX], safe=" ,:;'()[]/=-_"))
        self.connection.send_headers(self, _block(*(() if self._begun else _BEGIN), *said), end=True)


async def _refuse(_: Any) -> None:
    raise GRPCError(Status.UNIMPLEMENTED, "there is no such method")


_UNKNOWN = Handler(_refuse, Cardinality.UNARY_UNARY, Empty, Empty)


class GrpcServer:
    """Serves at a socket, until closed."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._connections: dict[Http2Connection, None] = {}
        self._calls: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket, context: ssl.SSLContext, *, backlog: int) -> None:
        """Take connections."""
        loop = asyncio.get_running_loop()

        def made() -> Http2Connection:
            connection = Http2Connection(context, self._accept, self._forget)
            self._connections[connection] = None
            return connection

        self._server = await loop.create_server(made, sock=listener, backlog=backlog)

    async def close(self) -> None:
        """Take no more, end all calls, and close all connections."""
        if self._server is not None:
            self._server.close()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()

    def _forget(self, connection: Http2Connection) -> None:
        self._connections.pop(connection, None)

    def _accept(self, connection: Http2Connection, number: int, window: int, headers: Headers) -> Call | None:
        if headers.get(":method") != "POST" or not headers.get("content-type", "").startswith("application/grpc"):
            return None
        handler = self._handlers.get(headers.get(":path", ""), _UNKNOWN)
        call = Call(connection, number, window, handler, _seconds(headers.get("grpc-timeout", "")))
        call.task = asyncio.get_running_loop().create_task(call.run())
        self._calls[call.task] = None
        call.task.add_done_callback(self._calls.pop)
        return call


def _seconds(timeout: str) -> float | None:
    """Return a deadline; what cannot be read is none."""
    number, unit = timeout[:-1], UNITS.get(timeout[-1:])
    if unit is None or not (number.isascii() and number.isdigit()) or len(number) > TIMEOUT_DIGITS_MAX:
        return None
    return int(number) * unit
