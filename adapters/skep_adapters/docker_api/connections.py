"""What a connection has to do to be kept: say what it wants before long. And whose it is, where that is known.

aiohttp ends a connection on which nothing is asked any more, but waits for ever for the first request.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from skep_adapters.docker_api.http_request import PEER, new_request

#: The head of a connection's first request has to be there after so long.
FIRST_HEAD_S = 20.0


class Connection(web.RequestHandler):
    """One connection; `peer` is the name that its actors have, empty if only the kernel knows it."""

    __slots__ = ("_waits", "peer")

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, peer: str, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self.peer = peer
        self._waits = loop.call_later(FIRST_HEAD_S, self.force_close)

    def has_asked(self) -> None:
        """Be kept: from now on aiohttp sees to it."""
        self._waits.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Be over."""
        self._waits.cancel()
        super().connection_lost(exc)


class Connections(web.Server):
    """A server of HTTP that knows whom it talks to, where somebody has found that out: take `talking_to` then."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any) -> None:
        super().__init__(handler, request_factory=_request, **options)
        self._options = options

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return self.talking_to("")

    def talking_to(self, peer: str) -> Connection:
        """Return the protocol of a new connection to `peer`."""
        return Connection(self, loop=asyncio.get_running_loop(), peer=peer, **self._options)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    assert isinstance(protocol, Connection)  # noqa: S101 - `Connections` makes no others
    protocol.has_asked()
    request = new_request(message, payload, protocol, writer, task)
    request[PEER] = protocol.peer
    return request
