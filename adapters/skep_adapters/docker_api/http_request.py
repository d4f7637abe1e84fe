"""A request whose answer bears the headers that every answer of the API bears, streamed ones too."""

import asyncio

from aiohttp import StreamReader, hdrs, http, web
from aiohttp.abc import AbstractStreamWriter

from skep_adapters.docker_api.call import BODY_BYTES_MAX

#: Under this key a request holds the headers of its answer.
HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("headers", dict[str, str])

#: Under this key it holds who asks, where somebody but the kernel has found that out; else nothing.
PEER: web.RequestKey[str] = web.RequestKey("peer", str)

#: Set where the answer is to name no content type, as logs are answered (recorded).
UNTYPED: web.RequestKey[bool] = web.RequestKey("untyped", bool)


class ApiRequest(web.BaseRequest):
    """A request of the API."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Complete the headers of the answer, just before they are sent."""
        response.headers.update(self.get(HEADERS, {}))
        if self.get(UNTYPED, False):
            response.headers.pop(hdrs.CONTENT_TYPE, None)


def new_request(
    message: http.RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Make a request whose body is bounded."""
    loop = asyncio.get_running_loop()
    return ApiRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)
