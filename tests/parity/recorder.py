"""What stands between a client and an engine: bytes go through unchanged, and every exchange is kept.

h11 reads both directions. A connection that is upgraded is passed on as it is, both ways.
"""

import asyncio
import base64
import binascii
import contextlib
import http
import json
import time
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import h11

REQUEST_HEADERS = ("content-type", "upgrade", "connection", "x-registry-auth", "x-registry-config")
ANSWER_HEADERS = (
    *("api-version", "content-type", "transfer-encoding", "upgrade", "connection", "swarm", "location"),
    *("builder-version", "docker-experimental", "ostype", "server", "cache-control", "warning"),
)

_CHUNK = 65536
#: the largest head
_HEAD = 1 << 20
#: beyond it a body is shown by its shape
_LONG = 60_000
_FRAME = 8

Row = dict[str, Any]


class Stream(NamedTuple):
    """One side of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Recorder:
    """Opens a socket for each step; the exchanges of all steps stand in `rows`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._seq = 0
        self._last: dict[tuple[str, ...], tuple[bytes, Row]] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()

    def forget(self, step: int) -> None:
        """Drop the exchanges of a step, which is done again."""
        self.rows = [row for row in self.rows if row["step"] != step]
        self._last = {key: value for key, value in self._last.items() if value[1]["step"] != step}

    async def open(self, listen: Path, upstream: Path, step: int) -> asyncio.Server:
        """Listen, and pass on to `upstream`; everything that comes belongs to `step`."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            me = asyncio.current_task()
            assert me is not None
            self._busy.add(me)
            client = Stream(reader, writer)
            try:
                engine = Stream(*await asyncio.open_unix_connection(str(upstream)))
            except OSError:
                writer.close()
                return
            try:
                with contextlib.suppress(OSError, h11.RemoteProtocolError, EOFError):
                    await self._serve(client, engine, step)
            finally:
                self._busy.discard(me)
                engine.writer.close()
                writer.close()

        return await asyncio.start_unix_server(serve, str(listen))

    async def _serve(self, client: Stream, engine: Stream, step: int) -> None:
        pending = b""
        while True:
            parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
            if pending:
                engine.writer.write(pending)
                parser.receive_data(pending)
            asked = Message()
            await asked.copy(parser, client, engine)
            request = asked.head
            if not isinstance(request, h11.Request):
                return
            row = self._row(request, bytes(asked.body), step)
            self.rows.append(row)
            answering = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
            answering.send(request)
            if asked.body:
                answering.send(h11.Data(data=bytes(asked.body)))
            answering.send(h11.EndOfMessage())
            if not await self._answer(answering, client, engine, row):
                return
            pending = parser.trailing_data[0]

    async def _answer(self, parser: h11.Connection, client: Stream, engine: Stream, row: Row) -> bool:
        """Pass an answer on and keep it; say whether the connection goes on."""
        answer = Message()
        copying = asyncio.ensure_future(answer.copy(parser, engine, client))
        while not copying.done():
            await asyncio.wait({copying}, timeout=0.1)
            if client.reader.at_eof() and not copying.done():
                copying.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, h11.RemoteProtocolError):
            await copying
        head = answer.head
        if not isinstance(head, h11.Response | h11.InformationalResponse):
            row["cut"] = "before it was answered"
            return False
        row["status"] = head.status_code
        row["response_headers"] = _chosen(head.headers, ANSWER_HEADERS)
        if head.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
            sent, got = await _tunnel(client, engine, parser.trailing_data[0])
            frames = unframed(got)
            row["hijacked"] = {"sent": sent.decode(errors="replace")[:2000]}
            row["response_stream"] = got.decode(errors="replace")[:4000] if frames is None else frames
            return False
        if not answer.ended:
            left = client.reader.at_eof()
            row["cut"] = "client closed before the response ended" if left else "the engine broke off"
        self._body(row, bytes(answer.body))
        return answer.ended and parser.their_state is h11.DONE

    def _row(self, request: h11.Request, body: bytes, step: int) -> Row:
        self._seq += 1
        target = urllib.parse.urlsplit(request.target.decode())
        query = urllib.parse.parse_qs(target.query, keep_blank_values=True)
        row: Row = {
            "kind": "exchange",
            "seq": self._seq,
            "step": step,
            "t": round(time.monotonic() - self._began, 3),
            "method": request.method.decode(),
            "path": target.path,
            "query": {name: found if len(found) > 1 else found[0] for name, found in query.items()},
        }
        headers = {name: _header(name, value) for name, value in _chosen(request.headers, REQUEST_HEADERS).items()}
        if headers:
            row["request_headers"] = headers
        if body:
            try:
                row["request_json"] = _shortened(json.loads(body)) if len(body) > _LONG else json.loads(body)
            except ValueError:
                row["request_body"] = body.decode(errors="replace")[:4000]
        return row

    def _body(self, row: Row, body: bytes) -> None:
        """Keep the body of an answer. The same answer to the same question in the same step is kept once."""
        if not body:
            return
        key = (str(row["step"]), row["method"], row["path"], json.dumps(row["query"], sort_keys=True))
        last = self._last.get(key)
        if last is not None and last[0] == body and row["method"] == "GET":
            last[1]["repeated"] = last[1].get("repeated", 0) + 1
            self.rows.remove(row)
            return
        self._last[key] = (body, row)
        kind = row.get("response_headers", {}).get("content-type", "")
        if row["path"].endswith("/logs") or "stream" in kind:
            frames = unframed(body)
            if frames is not None:
                row["response_stream"] = frames
                return
        if "json" in kind or body[:1] in b"{[":
            with contextlib.suppress(ValueError):
                found = _values(body.decode())
                single = len(found) == 1 and not row["path"].endswith("/events")
                row["response_json" if single else "response_stream"] = found[0] if single else found
                return
        row["response_text"] = body.decode(errors="replace")[:20_000]


class Message:
    """What was read of a request or an answer."""

    def __init__(self) -> None:
        self.head: h11.Event | None = None
        self.body = bytearray()
        self.ended = False

    async def copy(self, parser: h11.Connection, source: Stream, target: Stream) -> None:
        """Pass it on until its end, or that of the connection."""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await source.reader.read(_CHUNK)
                parser.receive_data(data)
                if data:
                    target.writer.write(data)
                    await target.writer.drain()
            elif isinstance(event, h11.Request | h11.Response):
                self.head = event
            elif isinstance(event, h11.InformationalResponse):
                if event.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS:
                    self.head = event
                    return
            elif isinstance(event, h11.Data):
                self.body += event.data
            else:
                self.ended = isinstance(event, h11.EndOfMessage)
                return


async def _tunnel(client: Stream, engine: Stream, begun: bytes) -> tuple[bytes, bytes]:
    """Pass bytes both ways until both sides have ended; return what the client and the engine sent.

    `begun` came with the answer's head, and was passed on with it.
    """
    sent, got = bytearray(), bytearray(begun)

    async def pump(source: Stream, target: Stream, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := await source.reader.read(_CHUNK):
                kept.extend(data)
                target.writer.write(data)
                await target.writer.drain()
            target.writer.write_eof()

    await asyncio.gather(pump(client, engine, sent), pump(engine, client, got))
    return bytes(sent), bytes(got)


def unframed(body: bytes) -> list[Row] | None:
    """Return the frames of a stream of lines: a byte for the stream, three zeros, the length; None if it has none."""
    frames, at = [], 0
    while at + _FRAME <= len(body):
        stream, length = body[at], int.from_bytes(body[at + 4 : at + _FRAME], "big")
        if stream > 3 or body[at + 1 : at + 4] != bytes(3):
            return None
        at += _FRAME
        name = ("stdin", "stdout", "stderr", "systemerr")[stream]
        frames.append({"stream": name, "data": body[at : at + length].decode(errors="replace")})
        at += length
    return frames if at >= len(body) else None


def _chosen(headers: Iterable[tuple[bytes, bytes]], names: tuple[str, ...]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers if name.decode() in names}


def _header(name: str, value: str) -> str | Row:
    """Return what is kept of a request's header: of credentials only which keys they have."""
    if not name.startswith("x-registry"):
        return value
    try:
        found = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)) or b"{}")
    except (ValueError, binascii.Error):
        return {"present": True, "undecodable": True}
    return {"present": True, "keys": sorted(found)}


def _shortened(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    long = 200
    return {
        key: f"<{len(value)} characters of base64>" if isinstance(value, str) and len(value) >= long else value
        for key, value in found.items()
    }


def _values(text: str) -> list[Any]:
    """Return the JSON values that a text is made of."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found
