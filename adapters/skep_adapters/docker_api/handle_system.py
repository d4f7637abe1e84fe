"""What is asked of the engine itself: ping, version, info, events."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web
from skep.core.changes import Change
from skep.model.ids import Instant
from skep.runtime.errors import EngineError, NoSwarm

from skep_adapters.docker_api.answers import JSON, json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_swarm import INACTIVE, render_active
from skep_adapters.docker_api.render_system import render_change, render_info, render_version
from skep_adapters.docker_api.stream import WATCH_EVERY_S, closed_after, while_there
from skep_adapters.docker_api.times import parse_timestamp

_PING_HEADERS = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}


async def ping(_: Call) -> web.StreamResponse:
    """Say that the engine is there; what it speaks stands in every answer's headers."""
    return web.Response(body=b"OK", content_type="text/plain", charset="utf-8", headers=_PING_HEADERS)


async def version(call: Call) -> web.StreamResponse:
    """Answer versions."""
    return json_answer(render_version(call.api_max))


async def info(call: Call) -> web.StreamResponse:
    """Answer what is to be known of the engine, outside a swarm too."""
    return json_answer(render_info(await swarm_part(call), call.hostname))


async def events(call: Call) -> web.StreamResponse:
    """Stream changes of swarm scope; those since an instant first, up to an instant if there is one."""
    filters = call.filters(status=400)
    since, until = _instant(call, "since"), _instant(call, "until")
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(call.request)
    await while_there(call, _send_changes(call, response, filters, since, until))
    with suppress(ConnectionResetError):
        await response.write_eof()
    return response


async def swarm_part(call: Call) -> dict[str, Any]:
    """Return what `info` says of the swarm."""
    cluster = call.cluster
    try:
        return await cluster.read(lambda state: render_active(state, cluster.node_id, cluster.advertise_addr))
    except NoSwarm:
        return INACTIVE
    except EngineError as error:
        # info is where one looks when something is wrong
        return INACTIVE | {"LocalNodeState": "error", "Error": str(error)}


async def _send_changes(
    call: Call, response: web.StreamResponse, filters: Filters, since: Instant | None, until: Instant | None
) -> None:
    """Send what changes, over the ends and beginnings of swarms; with `until` up to there."""
    while True:
        with suppress(NoSwarm):
            async with closed_after(call.cluster.changes(since=since, until=until)) as changes:
                async for change in changes:
                    if _fits(filters, change):
                        await response.write(msgspec.json.encode(render_change(change)) + b"\n")
        if until is not None:
            return
        # a swarm that begins later is told from its first change on
        since = since or Instant(time.time_ns())
        while not call.cluster.active:  # noqa: ASYNC110  # the embedding API has no event for it
            await asyncio.sleep(WATCH_EVERY_S)


def _instant(call: Call, name: str) -> Instant | None:
    text = call.param(name)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ApiError(400, str(error)) from None


def _fits(filters: Filters, change: Change) -> bool:
    """Whether a change passes; filters of what skep has no events of let nothing through."""
    name = change.attributes.get("name", "")
    return (
        filters.exact("scope", "swarm")
        and filters.exact("type", change.kind)
        and filters.exact("event", change.action)
        and all(_names(filters, kind, change, name) for kind in _KINDS if kind in filters)
        and filters.labels("label", _NO_LABELS)
    )


_KINDS = ("config", "container", "daemon", "image", "network", "node", "plugin", "secret", "service", "volume")
_NO_LABELS: Mapping[str, str] = {}


def _names(filters: Filters, kind: str, change: Change, name: str) -> bool:
    return change.kind == kind and (filters.exact(kind, change.id) or filters.exact(kind, name))
