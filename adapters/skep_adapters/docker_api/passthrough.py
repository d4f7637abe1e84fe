"""Requests that are the Docker Engine's: passed on to it, and its answers back, byte by byte as they come.

Nothing is kept but what is on its way, and neither side is read faster than the other takes it. A client that goes away
ends the request at the engine. An engine that breaks off ends the client's connection, so nobody takes half an answer
for a whole one. There is no limit of time: `docker wait` may wait for days.
"""

from collections.abc import AsyncIterable, AsyncIterator

from aiohttp import ClientError, ClientResponse, hdrs, web

from skep_adapters.docker_api.api_versions import older
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, bad_request
from skep_adapters.docker_api.expectations import CONTINUE, expects_to_go_on
from skep_adapters.docker_api.http_request import HEADERS, UNTYPED
from skep_adapters.docker_api.passthrough_engine import LocalEngine
from skep_adapters.docker_api.passthrough_headers import end_to_end
from skep_adapters.docker_api.passthrough_hijack import hijacked, wants_connection
from skep_adapters.docker_api.stream import while_there


async def forward(call: Call) -> web.StreamResponse:
    """Pass a request on, whatever it is.

    Raises:
        EngineGone: the engine gave no answer.
    """
    if wants_connection(call.request):
        return await hijacked(call, the_engine(call))
    return await passed_on(call)


async def passed_on(call: Call, body: bytes | None = None) -> web.StreamResponse:
    """Pass on a request that has an answer; `body` is its body where that was read already."""
    relay = _Relay(call, the_engine(call), body)
    await while_there(call, relay.run())
    if relay.answer is None:
        raise ApiError(503, "skep is stopping")
    if not relay.whole and call.request.transport is not None:
        call.request.transport.abort()
    return relay.answer


def the_engine(call: Call) -> LocalEngine:
    """Return the engine; what is routed here has one."""
    assert call.engine is not None  # noqa: S101 - only routes for an engine lead here
    return call.engine


class _Relay:
    """One request and its answer; `whole` once all of that has been passed on."""

    def __init__(self, call: Call, engine: LocalEngine, body: bytes | None) -> None:
        self._request = call.request
        self._engine = engine
        self._body = body
        self.answer: web.StreamResponse | None = None
        self.whole = False

    async def run(self) -> None:
        request = self._request
        body = self._body
        if body is None and request.body_exists:
            if expects_to_go_on(request) and request.transport is not None:
                request.transport.write(CONTINUE)
            parts: AsyncIterable[bytes] | None = request.content.iter_any()
        else:
            parts = _once(body) if body else None
        headers = end_to_end(request.headers)
        try:
            async with self._engine.sent(request.method, request.rel_url.raw_path_qs, headers, parts) as heard:
                self.answer = _begun(request, heard)
                await self._pass_back(self.answer, heard)
        except (ClientError, ConnectionError):
            # one of the two broke off in the middle; before that, `sent` says so itself
            self.whole = False
        except ApiError:
            if request.content.exception() is not None:
                raise bad_request("the request's body broke off, or is malformed") from None
            raise

    async def _pass_back(self, answer: web.StreamResponse, heard: ClientResponse) -> None:
        await answer.prepare(self._request)
        async for some in heard.content.iter_any():
            await answer.write(some)
        await answer.write_eof()
        self.whole = True


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _begun(request: web.BaseRequest, heard: ClientResponse) -> web.StreamResponse:
    """Return the head of the engine's answer as the client is to have it."""
    headers = end_to_end(heard.headers)
    ours = request.get(HEADERS, {})
    # the engine's own fields stand; but what is spoken here is what both speak
    request[HEADERS] = {}
    if "Api-Version" in headers:
        headers["Api-Version"] = older(ours.get("Api-Version", ""), headers["Api-Version"])
    request[UNTYPED] = hdrs.CONTENT_TYPE not in headers
    return web.StreamResponse(status=heard.status, reason=heard.reason, headers=headers)
