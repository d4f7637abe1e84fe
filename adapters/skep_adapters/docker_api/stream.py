"""Answers that go on: the multiplexed stream of logs, and watching for clients that went away."""

import asyncio
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web
from skep.ports.lines import Stream

from skep_adapters.docker_api.call import Call

T = TypeVar("T")

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
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=WATCH_EVERY_S)
            if _gone(call.request) or call.closing.is_set():
                break
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled() and not _gone(call.request):
        task.result()


def _gone(request: web.BaseRequest) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()
