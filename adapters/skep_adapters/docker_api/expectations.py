"""What a client expects before it sends a body: to be told to go on. There is nothing else that it could (RFC 9110)."""

from aiohttp import hdrs, web

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def expects_to_go_on(request: web.BaseRequest) -> bool:
    """Return whether the client waits to be told to send its body."""
    return request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


def expects_what_nobody_does(request: web.BaseRequest) -> bool:
    """Return whether the client expects something else."""
    return hdrs.EXPECT in request.headers and not expects_to_go_on(request)
