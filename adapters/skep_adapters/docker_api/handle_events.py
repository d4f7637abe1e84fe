"""Events of the swarm: changes since an instant, and as they happen."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

import msgspec
from aiohttp import web
from skep.core.changes import Change
from skep.model.ids import Instant
from skep.runtime.errors import NoSwarm

from skep_adapters.docker_api.answers import JSON
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.connections import connection_of
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_system import render_change
from skep_adapters.docker_api.stream import WATCH_EVERY_S, closed_after, while_there
from skep_adapters.docker_api.times import parse_timestamp

#: filters that Docker holds against the id and the name of every event, whatever it is of: `service=web` lets through
#: what happens to the containers `web.1` and on, too
_NAMES = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume")


class Wanted(NamedTuple):
    """Which events a client wants: from `since` (None: from now) to `until` (None: for ever)."""

    filters: Filters
    since: Instant | None
    until: Instant | None


class Told(NamedTuple):
    """An event as it is sent, and when it happened."""

    time: Instant
    line: bytes


async def events(call: Call) -> web.StreamResponse:
    """Stream changes of swarm scope; those since an instant first, up to an instant if there is one."""
    asked = wanted(call)
    with connection_of(call.request).streaming():
        response = await begun(call)
        await while_there(call, _send(call, response, asked))
        with suppress(ConnectionResetError):
            await response.write_eof()
    return response


def wanted(call: Call) -> Wanted:
    """Read which events a client wants."""
    since, until = _instant(call, "since"), _instant(call, "until")
    if since is not None and until is not None and until < since:
        words = f"`since` time ({call.param('since')}) cannot be after `until` time ({call.param('until')})"
        raise ApiError(400, words)
    return Wanted(call.filters(status=500), since, until)


async def begun(call: Call) -> web.StreamResponse:
    """Return an answer that events can be written to."""
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(call.request)
    return response


async def swarm_events(call: Call, asked: Wanted) -> AsyncIterator[Told]:
    """Yield what changes, over the ends and beginnings of swarms; with `until` up to there."""
    since = asked.since
    while True:
        with suppress(NoSwarm):
            async with closed_after(call.cluster.changes(since=since, until=asked.until)) as changes:
                async for change in changes:
                    if _fits(asked.filters, change):
                        yield Told(change.time, msgspec.json.encode(render_change(change)) + b"\n")
        if asked.until is not None:
            return
        # a swarm that begins later is told from its first change on
        since = since or Instant(time.time_ns())
        while not call.cluster.active:  # noqa: ASYNC110  # the embedding API has no event for it
            await asyncio.sleep(WATCH_EVERY_S)


async def _send(call: Call, response: web.StreamResponse, asked: Wanted) -> None:
    async with closed_after(swarm_events(call, asked)) as told:
        async for each in told:
            await response.write(each.line)


def _instant(call: Call, name: str) -> Instant | None:
    text = call.param(name)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ApiError(500, str(error)) from None  # as Docker does, whoever is to blame


def _fits(filters: Filters, change: Change) -> bool:
    """Whether a change passes, as Docker has it; none is of an image."""
    name = change.attributes.get("name", "")
    return (
        filters.exact("scope", "swarm")
        and filters.exact("type", change.kind)
        and filters.exact("event", change.action)
        and "image" not in filters
        and all(filters.prefix(each, change.id) or filters.prefix(each, name) for each in _NAMES)
        and filters.labels("label", change.attributes)
    )
