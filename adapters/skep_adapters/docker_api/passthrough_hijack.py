"""Connections that a client wants for itself: attach, exec, build sessions, gRPC.

Docker calls it hijacking. After the head of a request both sides send what they want, when they want; the answer is
101, or 200 for clients that did not ask to upgrade, or a refusal. Here nobody needs to know which: the engine is asked
to close after a refusal, so what it sends is passed on as it is until it closes.

- A side that has finished sending is told on to the other (half-close): `docker run -i` ends its input and reads on.
- When the engine has closed, all is over. A client that has gone, and not only finished sending, is noticed by the
  kernel's hang-up, and the engine's connection is closed.
- What a client sends before its request has been read may be lost; Docker Engine itself drops it too. No client of
  Docker's sends before it has the answer.
"""

import asyncio
import re
import select
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from skep_adapters.docker_api.answers import error_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.passthrough_engine import CHUNK_BYTES, LocalEngine
from skep_adapters.docker_api.passthrough_headers import end_to_end, upgrade
from skep_adapters.docker_api.stream import WATCH_EVERY_S

#: What is hijacked even if the client does not ask to upgrade, as old ones do not.
_ALWAYS = re.compile(r"(/v[0-9.]+)?/(containers/[^/]+/attach|exec/[^/]+/start)")


def wants_connection(request: web.BaseRequest) -> bool:
    """Whether a request is for a connection, and not for an answer."""
    return bool(upgrade(request.headers)) or (
        request.method == hdrs.METH_POST and _ALWAYS.fullmatch(request.path) is not None
    )


async def hijacked(call: Call, engine: LocalEngine) -> web.StreamResponse:
    """Join the client's connection to one of the engine's, until it is over.

    Raises:
        EngineGone: nobody is there.
    """
    head = _head(call.request)
    body = await call.raw_body()
    reader, writer = await engine.connected()
    try:
        client = _taken(call.request)
        try:
            writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            await _joined(call, client, (reader, writer), engine)
        finally:
            client[1].close()
            if call.closing.is_set():
                client[1].transport.abort()
    finally:
        writer.close()
    return _Over()


def _head(request: web.BaseRequest) -> bytes:
    """Return the head of the request for the engine, up to the length of the body."""
    headers = end_to_end(request.headers)
    headers.popall(hdrs.CONTENT_LENGTH, None)
    protocol = upgrade(request.headers)
    # "close" is for refusals: the engine then ends the connection behind them, and so do we
    headers[hdrs.CONNECTION] = "Upgrade, close" if protocol else "close"
    if protocol:
        headers[hdrs.UPGRADE] = protocol
    lines = [f"{request.method} {request.rel_url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode(errors="surrogateescape")


class _Taken(asyncio.StreamReaderProtocol):
    """The client's connection in our hands; the server that it was taken from still hears of its end."""

    def __init__(self, reader: asyncio.StreamReader, server: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._server = server

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.connection_lost(exc)


class _Over(web.StreamResponse):
    """The answer to a request that had its connection: nothing is left to be sent, and nobody to read it."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _taken(request: web.BaseRequest) -> _Streams:
    """Take the client's connection from the server."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client went away")
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    protocol = _Taken(reader, request.protocol)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


async def _joined(call: Call, client: _Streams, engine: _Streams, name: LocalEngine) -> None:
    async with asyncio.TaskGroup() as group:
        inward = group.create_task(_copied(client[0], engine[1], then_end=True))
        watch = group.create_task(_watched(call, inward, client[1], engine[1]))
        try:
            # what the engine closes is over: there is nobody to read the rest of what the client sends
            if not await _copied(engine[0], client[1]) and not call.closing.is_set():
                client[1].write(_refusal(str(name.broken_off())))
        finally:
            inward.cancel()
            watch.cancel()


async def _copied(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, then_end: bool = False) -> int:
    """Pass on what comes until no more does; return how many bytes it was. An end by force is an end too."""
    copied = 0
    try:
        while some := await source.read(CHUNK_BYTES):
            copied += len(some)
            sink.write(some)
            await sink.drain()
        if then_end:
            sink.write_eof()
    except OSError:
        return copied
    return copied


async def _watched(
    call: Call, inward: asyncio.Task[int], client: asyncio.StreamWriter, engine: asyncio.StreamWriter
) -> None:
    """Close the engine's connection when the server closes, or when the client has gone altogether."""
    while not call.closing.is_set() and not (inward.done() and _hung_up(client)):  # noqa: ASYNC110  # the kernel's hang-up sets no event
        await asyncio.sleep(WATCH_EVERY_S)
    engine.transport.abort()


def _hung_up(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end is closed for reading as well."""
    connection: Any = writer.get_extra_info("socket")
    if writer.transport.is_closing() or connection is None or connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def _refusal(message: str) -> bytes:
    """Return 502 as it is written on the wire."""
    status = HTTPStatus.BAD_GATEWAY
    body = error_answer(message, status).body
    assert isinstance(body, bytes)  # noqa: S101 - a JSON answer's body is bytes
    head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
