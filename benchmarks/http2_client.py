"""A client of gRPC over HTTP/2 that costs little: agents by the hundred leave the processors to who is measured.

Calls are answered by callbacks. It speaks as much as a worker of SwarmKit's needs: requests of one message and one
frame each, answers of any length. Windows for what comes are opened once and for ever. Names and values of headers are
indexed as grpc-go does it, so that a server has no more to read here than from a real agent.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

INITIAL_WINDOW_SIZE = 4
WINDOW_MAX = 2**31 - 1
WINDOW_DEFAULT = 65_535
FRAME_BYTES_MAX = 16_384

#: What answers a call: its message, or why there is none.
Answered = Callable[[bytes, str], None]


class Failed(Exception):
    """A call was not answered as it should be."""


class _Call:
    """A stream: `on_message` is called with each message, `on_end` with what went wrong, which may be nothing."""

    __slots__ = ("buffer", "on_end", "on_message", "status")

    def __init__(self, on_message: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self.on_message = on_message
        self.on_end = on_end
        self.buffer = bytearray()
        self.status = ""

    def take(self, data: bytes) -> None:
        """Hand over the messages that are whole."""
        buffer = self.buffer
        buffer += data
        while len(buffer) >= 5:
            size = 5 + int.from_bytes(buffer[1:5], "big")
            if len(buffer) < size:
                return
            message = bytes(buffer[5:size])
            del buffer[:size]
            self.on_message(message)


class Connection(asyncio.Protocol):
    """A connection; `on_lost` is called when it ends."""

    def __init__(self) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._calls: dict[int, _Call] = {}
        self._next = 1
        self._window = WINDOW_DEFAULT
        self._encoder = Encoder()
        self._decoder = Decoder()
        #: header blocks of indexed fields only, which leave the table alone
        self._sent: dict[str, bytes] = {}
        self._read: dict[bytes, str] = {}
        self._block = b""

    # --- what agents call

    def call(self, path: str, request: bytes, answered: Answered) -> None:
        """Make a call of one request and one answer."""
        messages: list[bytes] = []

        def end(error: str) -> None:
            answered(messages[0] if messages else b"", error or ("" if messages else "no message"))

        self.stream(path, request, messages.append, end)

    async def ask(self, path: str, request: bytes) -> bytes:
        """Make a call, and wait for its answer. Raises `Failed`."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(message: bytes, error: str) -> None:
            if future.done():
                return
            if error:
                future.set_exception(Failed(f"{path}: {error}"))
            else:
                future.set_result(message)

        self.call(path, request, answered)
        return await future

    def stream(
        self, path: str, request: bytes, on_message: Callable[[bytes], None], on_end: Callable[[str], None]
    ) -> None:
        """Make a call that may be answered by many messages."""
        number, self._next = self._next, self._next + 2
        self._calls[number] = _Call(on_message, on_end)
        headers = self._headers(path)
        body = b"\0" + len(request).to_bytes(4, "big") + request
        self._window -= len(body)
        assert len(body) <= FRAME_BYTES_MAX, f"a request of {len(body)} bytes"
        assert self._window >= 0, "the server lets nothing more in"
        self._write(_frame(HEADERS, END_HEADERS, number, headers) + _frame(DATA, END_STREAM, number, body))

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open all windows."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW_MAX)
        window = struct.pack(">I", WINDOW_MAX - WINDOW_DEFAULT)
        transport.write(PREFACE + _frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, window))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is open."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.on_end(f"the connection was lost: {exc or 'closed'}")
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        received = self._received
        received += data
        at = 0
        while len(received) - at >= 9:
            size = int.from_bytes(received[at : at + 3], "big")
            if len(received) - at < 9 + size:
                break
            kind, flags = received[at + 3], received[at + 4]
            number = int.from_bytes(received[at + 5 : at + 9], "big") & WINDOW_MAX
            payload = bytes(received[at + 9 : at + 9 + size])
            at += 9 + size
            self._take(kind, flags, number, payload)
        del received[:at]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == DATA:
            call = self._calls.get(number)
            if call is not None:
                call.take(_bare(payload, flags))
                self._end_if(flags, number)
        elif kind in (HEADERS, CONTINUATION):
            self._block += _bare(payload, flags) if kind == HEADERS else payload
            if flags & END_HEADERS:
                status = self._status(self._block)
                self._block = b""
                if number in self._calls and status:
                    self._calls[number].status = status
                self._end_if(flags, number)
        elif kind == RST_STREAM:
            if (call := self._calls.pop(number, None)) is not None:
                call.on_end(f"reset by the server, code {int.from_bytes(payload, 'big')}")
        else:
            self._keep(kind, flags, number, payload)

    def _keep(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Do what keeps the connection."""
        if kind in (SETTINGS, PING) and not flags & ACK:
            self._write(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == WINDOW_UPDATE and number == 0:
            self._window += int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.close()

    def _end_if(self, flags: int, number: int) -> None:
        if flags & END_STREAM and (call := self._calls.pop(number, None)) is not None:
            call.on_end("" if call.status in ("", "0") else f"status {call.status}")

    # --- headers

    def _headers(self, path: str) -> bytes:
        known = self._sent.get(path)
        if known is not None:
            return known
        block = self._encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", path),
                (":authority", "swarm-manager"),
                ("content-type", "application/grpc"),
                ("user-agent", "grpc-go/1.47.0"),
                ("te", "trailers"),
            ]
        )
        if _indexed(block):
            self._sent[path] = block
        else:
            self._sent.clear()
        return block

    def _status(self, block: bytes) -> str:
        """Return what a block says of the end of a call: "0" is well, nothing is not said."""
        known = self._read.get(block)
        if known is not None:
            return known
        headers = {bytes(name): bytes(value).decode() for name, value in self._decoder.decode(block, raw=True)}
        status = headers.get(b"grpc-status", "")
        if status not in ("", "0"):
            status = f"{status} {headers.get(b'grpc-message', '')}"
        if _indexed(block):
            self._read[block] = status
        else:
            self._read.clear()
        return status

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def connect(host: str, port: int, context: ssl.SSLContext, name: str) -> Connection:
    """Connect to a server of that name."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, host, port, ssl=context, server_hostname=name)
    return connection


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload) << 8 | kind) + struct.pack(">BI", flags, number) + payload


def _bare(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding and priority."""
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if flags & PRIORITY else payload


def _indexed(block: bytes) -> bool:
    """Say whether a block is nothing but indices of one byte."""
    return all(0x80 < byte < 0xFF for byte in block)
