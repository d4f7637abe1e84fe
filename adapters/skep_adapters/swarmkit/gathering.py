"""Between grpclib and asyncio: what is written bit by bit goes out as one, and silent connections take little memory.

grpclib (0.4.9) hands each frame to the transport alone: an answer is three, which are three TLS records, three calls of
the kernel, and three times that the other side wakes up. asyncio's TLS has a buffer of 256 KiB for each connection,
which is a quarter of a GiB for a thousand agents that are silent most of the time. hpack reads and writes headers anew
that are the same in every call (see `repeated_headers`). HTTP/2 and TLS stay theirs.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from grpclib.server import Server

from skep_adapters.swarmkit.repeated_headers import RepeatedDecoder, RepeatedEncoder

if TYPE_CHECKING:
    from grpclib._typing import IServable

#: What is gathered before it is written, whatever the turn: a transport that is never written to cannot push back.
GATHERED_BYTES_MAX = 64 * 1024

#: Four records of TLS at a time; what comes beyond that is read next.
TLS_BUFFER_BYTES = 64 * 1024

#: What may wait to be written to one connection. grpclib sends no data while a transport is paused, but answers every
#: ping and every setting, whether the other side reads or not. More than a frame of each of a hundred calls.
UNREAD_BYTES_MAX = 2 * 1024 * 1024

#: How long somebody without a certificate may stay. An engine joins within 20 seconds, or gives up.
STRANGER_S = 60.0


class GatheringServer(Server):
    """grpclib's server with such connections, which are secured by `context`; give none to `start`."""

    def __init__(self, handlers: "Collection[IServable]", context: ssl.SSLContext, config: Configuration) -> None:
        super().__init__(handlers, config=config)
        self._context = context

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        gathering = _GatheringProtocol(_WithoutMetadata(made.handler), made.config, made.h2_config)
        loop = asyncio.get_running_loop()
        shaken = loop.create_future()
        shaken.add_done_callback(_heed)
        # asyncio takes either kind of protocol here, and grpclib only hands it on
        return cast("H2Protocol", _Tls(loop, gathering, self._context, shaken, server_side=True))


def _heed(shaken: asyncio.Future[None]) -> None:
    """Take note of how a handshake ended: a caller that went away in its midst is no error of ours."""
    if not shaken.cancelled():
        shaken.exception()


class _Tls(SSLProtocol):
    max_size = TLS_BUFFER_BYTES


class _GatheringProtocol(H2Protocol):
    _ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        gathering = _Gathering(cast("asyncio.Transport", transport))
        if not gathering.getpeercert():
            self._ends = asyncio.get_running_loop().call_later(STRANGER_S, gathering.close)
            # what all calls of a stranger leave unfinished is kept: no more than for one
            self.config = replace(self.config, http2_connection_window_size=self.config.http2_stream_window_size)
        super().connection_made(cast("asyncio.BaseTransport", gathering))
        http = self.connection._connection  # noqa: SLF001 - there is no other way in; a test says when it moves
        http.encoder, http.decoder = RepeatedEncoder(), RepeatedDecoder(http.decoder)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except UnicodeDecodeError:  # else it would be a traceback of ours, as often as anybody likes
            self.processor.close("a header is not ASCII")

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._ends is not None:
            self._ends.cancel()
        super().connection_lost(exc)


class _WithoutMetadata(AbstractHandler):
    """Hands calls on without binary metadata: no engine sends any, and grpclib leaves a call unanswered if it is none.

    Each would be a traceback of ours besides.
    """

    def __init__(self, handler: AbstractHandler) -> None:
        self._handler = handler

    def accept(self, stream: Stream, headers: list[tuple[str, str]], release_stream: Callable[[], None]) -> None:
        """Begin to answer a call."""
        self._handler.accept(stream, [each for each in headers if not each[0].endswith("-bin")], release_stream)

    def cancel(self, stream: Stream) -> None:
        """End a call."""
        self._handler.cancel(stream)

    def close(self) -> None:
        """End all of the connection's calls."""
        self._handler.close()


class _Gathering:
    """A transport, as far as grpclib uses it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._gathered: list[bytes] = []
        self._size = 0
        self._certificate: dict[str, Any] | None = None

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the loop."""
        if not data:
            return
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.append(data)
        self._size += len(data)
        if self._size > GATHERED_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        gathered, self._gathered, self._size = self._gathered, [], 0
        if gathered and not self._transport.is_closing():
            self._transport.write(b"".join(gathered))
            if self._transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
                self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what is left, and close."""
        self._flush()
        self._transport.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection; of TLS only the certificate is asked."""
        found = self._transport.get_extra_info(name, default)
        return self if name == "ssl_object" and found is not None else found

    def getpeercert(self) -> dict[str, Any] | None:
        """Return the peer's certificate. It stays the same for as long as the connection lasts: it is read once."""
        if self._certificate is None:
            self._certificate = self._transport.get_extra_info("ssl_object").getpeercert()
        return self._certificate
