"""Events of both: the swarm's, and the engine's own of containers, images, volumes and its networks.

What is past comes in the order of time, as far as the engine remembers: its last 256. What happens then is told as it
is heard. An engine that is not there leaves the swarm's; one that breaks off later ends the client's connection, so
nobody waits for events that will not come.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from aiohttp import ClientError, web
from skep.model.ids import NANOSECONDS, Instant

from skep_adapters.docker_api.api_versions import older
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.connections import connection_of
from skep_adapters.docker_api.handle_events import Told, Wanted, begun, swarm_events, wanted
from skep_adapters.docker_api.passthrough import the_engine
from skep_adapters.docker_api.passthrough_engine import EngineGone
from skep_adapters.docker_api.stream import closed_after, while_there

_LOG = structlog.get_logger("skep.docker_api")

#: The swarm's past is over when nothing of it came for so long.
QUIET_S = 1.0


async def events(call: Call) -> web.StreamResponse:
    """Stream the events of both; those since an instant first, up to an instant if there is one."""
    telling = _Telling(call, wanted(call))
    try:
        await telling.remember()
    except EngineGone as gone:
        _LOG.warning("the engine's own events are not told", reason=str(gone))
        telling.alone = True
    with connection_of(call.request).streaming():
        response = await begun(call)
        await while_there(call, telling.to(response))
        if telling.broken and call.request.transport is not None:
            call.request.transport.abort()
        with suppress(ConnectionResetError):
            await response.write_eof()
    return response


class _Telling:
    """One client's events. `broken`: the engine broke off; `alone`: it was not there."""

    def __init__(self, call: Call, asked: Wanted) -> None:
        self._call = call
        self._asked = asked
        self._now = Instant(time.time_ns())
        self._past: deque[Told] = deque()
        self._heard_at = time.monotonic()
        self._caught_up = asyncio.Event()
        self._writing = asyncio.Lock()
        self.alone = not asked.filters.exact("scope", "local")
        self.broken = False

    async def remember(self) -> None:
        """Ask the engine for what is past.

        Raises:
            EngineGone: it does not answer.
        """
        since, until = self._asked.since, self._asked.until
        if self.alone or since is None:
            return
        heard = await the_engine(self._call).ask(self._target(since, min(self._now, until or self._now)))
        if heard.status != web.HTTPOk.status_code:
            raise EngineGone(heard.status, heard.body.decode(errors="replace"))
        self._past.extend(sorted(_told(heard.body.splitlines(keepends=True)), key=lambda told: told.time))

    async def to(self, response: web.StreamResponse) -> None:
        """Tell both, until the client has all that it wants."""
        async with asyncio.TaskGroup() as group:
            swarms = group.create_task(self._tell_swarms(response))
            try:
                await self._tell_engines(response)
            except (ClientError, EngineGone, ValueError):
                self.broken = True
                swarms.cancel()

    async def _tell_swarms(self, response: web.StreamResponse) -> None:
        async with closed_after(swarm_events(self._call, self._asked)) as told:
            async for each in told:
                self._heard_at = time.monotonic()
                async with self._writing:
                    while self._past and self._past[0].time <= each.time:
                        await response.write(self._past.popleft().line)
                    await response.write(each.line)
                if each.time > self._now:
                    self._caught_up.set()
        self._caught_up.set()

    async def _tell_engines(self, response: web.StreamResponse) -> None:
        if self._asked.since is not None:
            await self._swarms_past()
        while self._past:
            async with self._writing:
                await response.write(self._past.popleft().line)
        until = self._asked.until
        if self.alone or (until is not None and until <= self._now):
            return
        target = self._target(Instant(self._now + 1), until)
        async with the_engine(self._call).sent("GET", target, {}, None) as heard:
            if heard.status != web.HTTPOk.status_code:
                raise EngineGone(heard.status, "the engine tells no events")
            async for line in heard.content:
                async with self._writing:
                    await response.write(line)
        # an engine ends its events only where it was told to, or because it stops
        if until is None:
            raise EngineGone(503, "the engine stopped")

    async def _swarms_past(self) -> None:
        """Wait until what is past of the swarm was told."""
        while (left := self._heard_at + QUIET_S - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._caught_up.wait()
                    return

    def _target(self, since: Instant, until: Instant | None) -> str:
        query = {"since": _timestamp(since)}
        if until is not None:
            query["until"] = _timestamp(until)
        if filters := self._call.param("filters"):
            query["filters"] = filters
        known = the_engine(self._call).api_version
        version = f"/v{older(self._call.spoken, known)}" if known else ""
        return f"{version}/events?{urlencode(query)}"


def _timestamp(at: Instant) -> str:
    seconds, nanoseconds = divmod(at, NANOSECONDS)
    return f"{seconds}.{nanoseconds:09d}"


def _told(lines: Iterable[bytes]) -> Iterator[Told]:
    """Yield events as an engine wrote them."""
    for line in lines:
        with suppress(msgspec.DecodeError):
            event: Any = msgspec.json.decode(line)
            at = event.get("timeNano") if isinstance(event, dict) else None
            yield Told(Instant(at if isinstance(at, int) else 0), line)
