"""TLS with certificates on both sides: who has none that our authority signed is not heard.

TLS ends here, and what was inside goes on through a pair of sockets. asyncio's own TLS would not do: it closes a
connection whose other side has only finished sending, as `docker run -i` does when its input has ended.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import structlog
from anyio.abc import ByteStream, Listener, SocketAttribute, SocketStream, TaskGroup
from anyio.streams.tls import TLSAttribute, TLSStream

#: Who connects has to show a certificate within so long.
HANDSHAKE_S = 10.0

#: Connections at a time, those included that have shown nothing yet.
CONNECTIONS_MAX = 1_000

CHUNK_BYTES = 64 * 1024

#: Of a connection that was silent for a minute the kernel asks whether somebody is there, four times in the next one.
#: Whoever follows events and loses his machine would be one of the thousand for ever.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)

#: Where no connection can be taken (no file is left to this process), it is tried again after so long.
ACCEPT_AGAIN_S = 1.0

_LOG = structlog.get_logger("skep.docker_api")


class Certificates(NamedTuple):
    """Files of PEM: the authority that clients' certificates are signed by, our own certificate, and its key."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what connections are served with.

        Raises:
            OSError: a file cannot be read, or is no such thing (`ssl.SSLError`).
        """
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return context


#: What the connection of the present task has still to send, once it is wrapped; anyio may do that in a thread.
_unsent: ContextVar[list[ssl.MemoryBIO]] = ContextVar("_unsent")


class _Context(ssl.SSLContext):
    """Keeps hold of what is to be sent: the alert that says why a client is refused would be lost with the stream."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        _unsent.get().append(outgoing)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


class TlsFront:
    """Serves connections; `protocol` makes the server's end of one, for the peer of that name."""

    def __init__(self, context: ssl.SSLContext, protocol: Callable[[str], asyncio.Protocol]) -> None:
        self._context = context
        self._protocol = protocol
        self._open = 0
        #: those that have shown nothing yet, the oldest first
        self._unknown: dict[anyio.CancelScope, None] = {}

    def attend_all(self, listeners: Iterable[Listener[SocketStream]], group: TaskGroup) -> None:
        """Take connections until `group` is cancelled; one that cannot be taken is no reason to take no other."""
        for listener in listeners:
            listening = listener.extra(SocketAttribute.raw_socket)  # noqa: S610 - this is no query
            # what is set of a listener its connections have, too
            for level, option, value in _KEEPALIVE:
                listening.setsockopt(level, option, value)
            group.start_soon(self._accept, listener, group)

    async def _accept(self, listener: Listener[SocketStream], group: TaskGroup) -> None:
        while True:
            try:
                await listener.serve(self.attend, group)
            except OSError as error:
                _LOG.warning("no connection taken", reason=str(error), again_s=ACCEPT_AGAIN_S)
                await anyio.sleep(ACCEPT_AGAIN_S)

    async def attend(self, plain: SocketStream) -> None:
        """Serve one connection until it is over.

        Of too many the oldest ends that has shown no certificate, so that who has none cannot keep others out; where
        all have shown theirs, this one ends.
        """
        if self._open >= CONNECTIONS_MAX and not self._end_an_unknown():
            await anyio.aclose_forcefully(plain)
            return
        self._open += 1
        try:
            inside = await self._shown(plain)
            if inside is not None:
                await self._joined(inside, subject(inside.extra_attributes[TLSAttribute.peer_certificate]()))
        finally:
            self._open -= 1
            await anyio.aclose_forcefully(plain)

    def _end_an_unknown(self) -> bool:
        oldest = next(iter(self._unknown), None)
        if oldest is None:
            return False
        del self._unknown[oldest]
        oldest.cancel()
        return True

    async def _shown(self, plain: SocketStream) -> TLSStream | None:
        """Return the connection when its certificate is good; None if that is not so in time."""
        unsent: list[ssl.MemoryBIO] = []
        _unsent.set(unsent)
        scope = anyio.CancelScope(deadline=anyio.current_time() + HANDSHAKE_S)
        self._unknown[scope] = None
        try:
            with scope:
                return await TLSStream.wrap(plain, server_side=True, ssl_context=self._context)
            _LOG.info("connection refused", reason="no certificate in time")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            _LOG.info("connection refused", reason=reason)
            with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                for each in unsent:
                    await plain.send(each.read())
        finally:
            self._unknown.pop(scope, None)
        return None

    async def _joined(self, outside: ByteStream, peer: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            _LOG.warning("connection refused", reason=str(error))
            await anyio.aclose_forcefully(outside)
            return
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            await loop.connect_accepted_socket(lambda: self._protocol(peer), theirs)
            async with anyio.create_task_group() as group:
                group.start_soon(_inward, outside, writer)
                await _outward(reader, outside)
                group.cancel_scope.cancel()
        finally:
            writer.close()
            await anyio.aclose_forcefully(outside)


async def _inward(outside: ByteStream, writer: asyncio.StreamWriter) -> None:
    """Pass on what the client sends. One that has only finished sending still reads; one that has gone does not."""
    try:
        async for data in outside:
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        writer.transport.abort()


async def _outward(reader: asyncio.StreamReader, outside: ByteStream) -> None:
    """Pass on what the server sends, to its end."""
    try:
        while data := await reader.read(CHUNK_BYTES):
            await outside.send(data)
        await outside.aclose()
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


def subject(certificate: Any) -> str:
    """Return the name of an actor by the subject of its certificate, as `ssl` gives it."""
    found = {key: value for part in certificate.get("subject", ()) for key, value in part}
    return f"cert:{found.get('commonName', '')}"
