"""Answers that go on: the multiplexed stream of logs, and watching for clients that went away."""

import asyncio
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from aiohttp import web
from skep.ports.lines import Stream
from skep.runtime.watching import Lagging

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.connections import connection_of

T = TypeVar("T")

_LOG = structlog.get_logger("skep.docker_api")

#: A client that went away, and a server that closes, are noticed after at most so long even if nothing is written.
WATCH_EVERY_S = 0.25

#: One byte for the stream, three unused, the length of what follows.
_HEADER = struct.Struct(">BxxxI")


def frame(stream: Stream, data: bytes) -> bytes:
    """Return `data` as one frame of the multiplexed stream."""
    return _HEADER.pack(stream, len(data)) + data


@asynccontextmanager
async def closed_after(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close `items` when the block is left, if they can be closed."""
    try:
        yield items
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()


async def while_there(call: Call, work: Coroutine[None, None, None]) -> None:
    """Do `work`, which writes to the client of `call`, until it is done, the client goes, or the server closes."""
    with connection_of(call.request).unhurried():
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=WATCH_EVERY_S)
                if _gone(call.request) or call.closing.is_set():
                    break
        finally:
            task.cancel()
            await asyncio.wait((task,))
    if task.cancelled() or _gone(call.request):
        return
    if (error := task.exception()) is not None and _is_lag(error) and call.request.transport is not None:
        # it read too slowly, and missed something: a proper end would say that this was all
        _LOG.info("stream broken off", reason=str(error), path=call.request.path)
        call.request.transport.abort()
        return
    task.result()


def _is_lag(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_lag, error.exceptions))
    return isinstance(error, Lagging)


def _gone(request: web.BaseRequest) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()
