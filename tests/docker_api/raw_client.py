"""A client that sends whatever it is given, as no proper client would."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import h11
from published import Request, placeholders

#: An answer begins within so long, or something hangs; machines are busy.
PATIENCE_S = 60.0

#: A stream is listened to for so long.
LISTEN_S = 0.2


class Heard(NamedTuple):
    """An answer, or as much of a stream as came in a moment; status 0 if the connection ended without any."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return str(json.loads(self.body)["message"])
        return ""


async def said(path: Path, request: Request) -> Heard:
    """Send a request with its placeholders filled in, and return what was answered."""
    target = request.target
    for kind in placeholders(target):
        found = await _looked_up(path, kind)
        version = str(found.get("Version", {}).get("Index", 0))
        target = target.replace(f"{{{kind}}}", found.get("ID", found.get("Id", "none")))
        target = target.replace(f"{{{kind}-version}}", version)
    return await _exchanged(path, request._replace(target=target.replace("{", "%7B").replace("}", "%7D")))


async def _looked_up(path: Path, kind: str) -> dict[str, Any]:
    heard = await _exchanged(path, Request("GET", "/swarm" if kind == "swarm" else f"/{kind}s"))
    if heard.status != 200:
        return {}
    found = json.loads(heard.body)
    last: dict[str, Any] = found if isinstance(found, dict) else found[-1] if found else {}
    return last


async def _exchanged(path: Path, request: Request) -> Heard:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1024 * 1024)
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        length = [] if request.body is None else [("Content-Length", str(len(request.body)).encode())]
        headers = [("Host", b"skep"), ("Connection", b"close"), *length, *request.headers]
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        sent = connection.send(head) or b""
        if request.body:
            sent += connection.send(h11.Data(data=request.body)) or b""
        writer.write(sent + (connection.send(h11.EndOfMessage()) or b""))
        with contextlib.suppress(ConnectionError):  # it may be refused before it was read
            await writer.drain()
        return await _received(connection, reader)
    finally:
        writer.close()


async def _received(connection: h11.Connection, reader: asyncio.StreamReader) -> Heard:
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                async with asyncio.timeout(LISTEN_S if body or status else PATIENCE_S):
                    connection.receive_data(await reader.read(65536))
            except TimeoutError:
                assert status, "nothing was answered"
                return Heard(status, body)
            except ConnectionError:
                return Heard(status, body)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Heard(status, body)
