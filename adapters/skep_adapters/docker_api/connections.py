"""What a connection has to do to be kept: say what it wants before long, and take its answer. And whose it is.

aiohttp ends a connection on which nothing is asked any more, but waits for ever for the first request, and for a client
that does not read its answer. Streams are not hurried: a person may look at a page of them for hours. Their number is
bounded, and so is what is held for each.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.http_request import PEER, new_request

#: The head of a connection's first request has to be there after so long.
FIRST_HEAD_S = 20.0

#: An answer of which so long nothing is taken is given up: what was to be sent takes memory until then.
STALLED_S = 60.0

#: Connections of one user at a time, so that one leaves files for the others.
CONNECTIONS_OF_ONE_MAX = 500

#: Those among them that may be streams, so that there are some left to ask with.
STREAMS_OF_ONE_MAX = 400

_UCRED = struct.Struct("3i")
_LOG = structlog.get_logger("skep.docker_api")


class Connection(web.RequestHandler):
    """One connection; `peer` is the name that its actors have, empty if nobody knows it."""

    __slots__ = ("_connections", "_stalled_s", "_stalls", "_waits", "hurried", "peer")

    def __init__(
        self, connections: "Connections", *, loop: asyncio.AbstractEventLoop, peer: str, patience: float, **options: Any
    ) -> None:
        super().__init__(connections, loop=loop, **options)
        self._connections = connections
        self._stalled_s = patience * STALLED_S
        self._waits = loop.call_later(patience * FIRST_HEAD_S, self.force_close)
        self._stalls: asyncio.TimerHandle | None = None
        self.peer = peer
        #: whether its answer has to be taken before long
        self.hurried = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; be closed at once if its user has too many."""
        super().connection_made(transport)
        self.peer = self.peer or _user(transport)
        if not self._connections.has_room(self.peer):
            _LOG.warning("connection refused", reason=f"{CONNECTIONS_OF_ONE_MAX} are open already", peer=self.peer)
            self.force_close()

    def has_asked(self) -> None:
        """Be kept: from now on aiohttp sees to it."""
        self._waits.cancel()

    def pause_writing(self) -> None:
        """Wait for a client that reads too slowly, but not for ever."""
        super().pause_writing()
        if self.hurried:
            self._stalls = asyncio.get_running_loop().call_later(self._stalled_s, self._give_up)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._on_time()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Be over."""
        self._waits.cancel()
        self._on_time()
        self._connections.gone(self.peer)
        super().connection_lost(exc)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Be a stream for as long as the context lasts.

        Raises:
            ApiError: 503, its user has too many.
        """
        with self._connections.stream_of(self.peer), self.unhurried():
            yield

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Let the client take its time for as long as the context lasts."""
        self.hurried = False
        try:
            yield
        finally:
            self.hurried = True

    def _give_up(self) -> None:
        _LOG.info(
            "connection closed", reason=f"of its answer nothing was taken for {self._stalled_s:g} s", peer=self.peer
        )
        if self.transport is not None:
            self.transport.abort()

    def _on_time(self) -> None:
        if self._stalls is not None:
            self._stalls.cancel()
            self._stalls = None


class Connections(web.Server):
    """A server of HTTP that knows whom it talks to, where somebody has found that out: take `talking_to` then."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        patience: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(handler, request_factory=_request, **options)
        self._options = options
        self._patience = patience
        self._of: Counter[str] = Counter()
        self._streams_of: Counter[str] = Counter()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return self.talking_to("")

    def talking_to(self, peer: str) -> Connection:
        """Return the protocol of a new connection to `peer`."""
        loop = asyncio.get_running_loop()
        return Connection(self, loop=loop, peer=peer, patience=self._patience, **self._options)

    def has_room(self, peer: str) -> bool:
        """Count a connection of `peer`, which is `gone` later; say whether it may be used."""
        self._of[peer] += 1
        return self._of[peer] <= CONNECTIONS_OF_ONE_MAX

    def gone(self, peer: str) -> None:
        """Count one less."""
        self._of[peer] -= 1
        self._of += Counter()  # forgets who has none

    @contextmanager
    def stream_of(self, peer: str) -> Iterator[None]:
        """Count a stream of `peer`.

        Raises:
            ApiError: 503, there are too many.
        """
        if self._streams_of[peer] >= STREAMS_OF_ONE_MAX:
            raise ApiError(503, f"{STREAMS_OF_ONE_MAX} streams are open already: end some of them first")
        self._streams_of[peer] += 1
        try:
            yield
        finally:
            self._streams_of[peer] -= 1
            self._streams_of += Counter()


def connection_of(request: web.BaseRequest) -> Connection:
    """Return the connection that a request came by."""
    assert isinstance(request.protocol, Connection)  # noqa: S101 - `Connections` makes no others
    return request.protocol


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    request = new_request(message, payload, protocol, writer, task)
    connection = connection_of(request)
    connection.has_asked()
    request[PEER] = connection.peer
    return request


def _user(transport: asyncio.BaseTransport) -> str:
    """Return whose process is at the other end of a unix socket; empty if the kernel does not say."""
    peer: socket.socket | None = transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return ""
    _, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"uid:{uid}"
