"""HTTP/2 as far as gRPC needs it, for a server (RFC 9113): streams of headers and data, each way under flow control.

It is a tenth of the work of a general one: answers' headers are never indexed, so they are the same bytes each time;
requests' headers that are nothing but indices are looked up. What is not as it must be ends the connection; what is too
much of anything does, too.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable

from hpack import Decoder, HPACKError

from skep_adapters.swarmkit.tls import TlsProtocol

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_CONCURRENT_STREAMS = 4, 5, 3

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 0, 1, 3, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11

WINDOW_MAX = 2**31 - 1
#: The protocol's own, and what a stream may send before it is read.
WINDOW = 65_535
#: What all streams of a connection may send before that is seen.
CONNECTION_WINDOW = 1024 * 1024

#: Of a frame: its head, and the rest at most.
HEAD_BYTES = 9
FRAME_BYTES = 16_384

PING_BYTES = 8
WINDOW_UPDATE_BYTES = 4
SETTING_BYTES = 6

#: Bytes of a header block that are an index each, and nothing else.
INDICES = bytes(range(0x81, 0xFF))

HEADER_BYTES_MAX = 16 * 1024

#: Three are there for as long as an agent is; the others are calls, and lines of subscriptions.
STREAMS_MAX = 256

#: Streams that a peer takes back: one that goes on doing so only makes work.
RESETS_MAX = 10_000

#: Header blocks that are remembered: a worker has a handful of calls.
REMEMBERED_MAX = 64

Headers = dict[str, str]


class Http2Error(Exception):
    """The connection cannot go on."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"HTTP/2 error {code}")


class Http2Stream:
    """One request and its answer. Subclasses take what comes."""

    def __init__(self, connection: "Http2Connection", number: int, window: int) -> None:
        self.connection = connection
        self.number = number
        #: bytes that may be sent
        self.window = window
        #: bytes that may come, and those that came and were not read
        self.credit = WINDOW
        self.unread = 0
        self.ended = False

    def data(self, data: bytes) -> None:
        """Take data, and say `read` when it was."""

    def end(self) -> None:
        """Note that no more comes."""

    def reset(self) -> None:
        """Note that the peer, or the connection, is gone."""

    def read(self) -> None:
        """Let as much come as came."""
        unread, self.unread = self.unread, 0
        if unread and not self.ended:
            self.credit += unread
            self.connection.write(_frame(WINDOW_UPDATE, 0, self.number, struct.pack(">I", unread)))


Accept = Callable[["Http2Connection", int, int, Headers], Http2Stream | None]


class Http2Connection(TlsProtocol):
    """A connection; `accept` makes a stream of a request's headers."""

    def __init__(self, context: ssl.SSLContext, accept: Accept, ended: Callable[["Http2Connection"], None]) -> None:
        super().__init__(context)
        self._accept = accept
        self._ended = ended
        self._streams: dict[int, Http2Stream] = {}
        self._last = 0
        self._resets = 0
        self._came = bytearray()
        self._greeted = False
        self._decoder = Decoder(max_header_list_size=HEADER_BYTES_MAX)
        self._remembered: dict[bytes, Headers] = {}
        #: a header block that goes on: its stream, whether that ends with it, and what came of it
        self._block: tuple[int, bool, bytes] | None = None
        self._credit = CONNECTION_WINDOW
        self._window = WINDOW
        self._stream_window = WINDOW
        self._frame_bytes = FRAME_BYTES
        self._paused = False
        self._room = asyncio.Event()

    # --- what streams call

    def send_headers(self, stream: Http2Stream, block: bytes, *, end: bool) -> None:
        """Send headers, encoded without a table."""
        self.write(_frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream.number, block))
        if end:
            self._finish(stream)

    async def send_data(self, stream: Http2Stream, data: bytes) -> None:
        """Send data, as soon as the peer takes it."""
        at = 0
        while at < len(data):
            size = min(len(data) - at, stream.window, self._window, self._frame_bytes)
            if size <= 0 or self._paused:
                self._room.clear()
                await self._room.wait()
                continue
            stream.window -= size
            self._window -= size
            self.write(_frame(DATA, 0, stream.number, data[at : at + size]))
            at += size

    def _finish(self, stream: Http2Stream) -> None:
        """Forget a stream that was answered; what the peer would still send is not wanted."""
        if self._streams.pop(stream.number, None) is not None and not stream.ended:
            self.write(_frame(RST_STREAM, 0, stream.number, struct.pack(">I", NO_ERROR)))

    # --- what TLS calls

    def secured(self) -> None:
        """Greet."""
        settings = struct.pack(">HI", MAX_CONCURRENT_STREAMS, STREAMS_MAX)
        window = struct.pack(">I", CONNECTION_WINDOW - WINDOW)
        self.write(_frame(SETTINGS, 0, 0, settings) + _frame(WINDOW_UPDATE, 0, 0, window))

    def lost(self) -> None:
        """End all streams."""
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.reset()
        self._ended(self)

    def pause_writing(self) -> None:
        """Wait: the peer does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._room.set()

    def received(self, data: bytes) -> None:
        """Take the frames that are whole."""
        came = self._came
        came += data
        try:
            at = self._take_frames(came)
        except Http2Error as error:
            self.write(_frame(GOAWAY, 0, 0, struct.pack(">II", self._last, error.code)))
            self.close()
            came.clear()
            return
        del came[:at]

    def _take_frames(self, came: bytearray) -> int:
        at = 0
        if not self._greeted:
            if not PREFACE.startswith(came[: len(PREFACE)]):
                raise Http2Error(PROTOCOL_ERROR)
            if len(came) < len(PREFACE):
                return 0
            self._greeted = True
            at = len(PREFACE)
        while len(came) - at >= HEAD_BYTES:
            size = int.from_bytes(came[at : at + 3], "big")
            if size > FRAME_BYTES:
                raise Http2Error(FRAME_SIZE_ERROR)
            end = at + HEAD_BYTES + size
            if len(came) < end:
                break
            kind, flags = came[at + 3], came[at + 4]
            number = int.from_bytes(came[at + 5 : at + HEAD_BYTES], "big") & WINDOW_MAX
            payload = bytes(came[at + HEAD_BYTES : end])
            at = end
            if self._block is not None and kind != CONTINUATION:
                raise Http2Error(PROTOCOL_ERROR)
            take = _TAKE.get(kind)
            if take is not None:  # else it is of an extension that nobody asked for
                take(self, flags, number, payload)
        return at

    # --- frames

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if not number or number > self._last:
            raise Http2Error(PROTOCOL_ERROR)
        self._credit -= size
        if self._credit < 0:
            raise Http2Error(FLOW_CONTROL_ERROR)
        if self._credit < CONNECTION_WINDOW // 2:
            self.write(_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", CONNECTION_WINDOW - self._credit)))
            self._credit = CONNECTION_WINDOW
        stream = self._streams.get(number)
        if stream is None:
            return  # it was answered, or taken back
        stream.credit -= size
        if stream.credit < 0 or stream.ended:
            raise Http2Error(FLOW_CONTROL_ERROR)
        stream.ended = bool(flags & END_STREAM)
        stream.unread += size
        stream.data(_unpadded(payload, flags))
        if stream.ended:
            stream.end()

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        payload = _unpadded(payload, flags)
        if flags & PRIORITIZED:
            payload = payload[5:]
        if not number % 2:
            raise Http2Error(PROTOCOL_ERROR)
        self._block = number, bool(flags & END_STREAM), payload
        if flags & END_HEADERS:
            self._end_headers(*self._block)

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Http2Error(PROTOCOL_ERROR)
        block = self._block[2] + payload
        if len(block) > HEADER_BYTES_MAX or not payload:
            raise Http2Error(ENHANCE_YOUR_CALM)
        self._block = number, self._block[1], block
        if flags & END_HEADERS:
            self._end_headers(*self._block)

    def _end_headers(self, number: int, end: bool, block: bytes) -> None:
        self._block = None
        headers = self._decoded(block)
        stream = self._streams.get(number)
        if stream is not None:  # trailers
            if not end or stream.ended:
                raise Http2Error(PROTOCOL_ERROR)
        elif number <= self._last:
            return  # trailers of one that was answered
        else:
            self._last = number
            stream = self._begun(number, headers)
        if stream is not None and end:
            stream.ended = True
            stream.end()

    def _begun(self, number: int, headers: Headers) -> Http2Stream | None:
        stream = self._accept(self, number, self._stream_window, headers) if len(self._streams) < STREAMS_MAX else None
        if stream is None:
            self.write(_frame(RST_STREAM, 0, number, struct.pack(">I", REFUSED_STREAM)))
        else:
            self._streams[number] = stream
        return stream

    def _decoded(self, block: bytes) -> Headers:
        headers = self._remembered.get(block)
        if headers is not None:
            return headers
        try:
            headers = {str(name): str(value) for name, value in self._decoder.decode(block)}
        except (HPACKError, UnicodeDecodeError):
            raise Http2Error(COMPRESSION_ERROR) from None
        # nothing but indices leaves the table as it is, and says the same until that changes
        if len(self._remembered) < REMEMBERED_MAX and block and not block.translate(None, INDICES):
            self._remembered[block] = headers
        else:
            self._remembered.clear()
        return headers

    def _take_reset(self, _flags: int, number: int, _payload: bytes) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._resets += 1
        if self._resets > RESETS_MAX:
            raise Http2Error(ENHANCE_YOUR_CALM)
        stream.reset()

    def _take_settings(self, flags: int, _number: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % SETTING_BYTES:
            raise Http2Error(FRAME_SIZE_ERROR)
        for name, value in struct.iter_unpack(">HI", payload):
            if name == INITIAL_WINDOW_SIZE:
                if value > WINDOW_MAX:
                    raise Http2Error(FLOW_CONTROL_ERROR)
                for stream in self._streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
            elif name == MAX_FRAME_SIZE:
                if not FRAME_BYTES <= value < 2**24:
                    raise Http2Error(PROTOCOL_ERROR)
                self._frame_bytes = value
        self._room.set()
        self.write(_frame(SETTINGS, ACK, 0, b""))

    def _take_ping(self, flags: int, _number: int, payload: bytes) -> None:
        if len(payload) != PING_BYTES:
            raise Http2Error(FRAME_SIZE_ERROR)
        if not flags & ACK:
            self.write(_frame(PING, ACK, 0, payload))

    def _take_window(self, _flags: int, number: int, payload: bytes) -> None:
        if len(payload) != WINDOW_UPDATE_BYTES:
            raise Http2Error(FRAME_SIZE_ERROR)
        size = int.from_bytes(payload, "big") & WINDOW_MAX
        if not number:
            self._window += size
        elif (stream := self._streams.get(number)) is not None:
            stream.window += size
            if stream.window > WINDOW_MAX:
                raise Http2Error(FLOW_CONTROL_ERROR)
        if not size or self._window > WINDOW_MAX:
            raise Http2Error(FLOW_CONTROL_ERROR)
        self._room.set()

    def _take_push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise Http2Error(PROTOCOL_ERROR)


_TAKE: dict[int, Callable[[Http2Connection, int, int, bytes], None]] = {
    DATA: Http2Connection._take_data,  # noqa: SLF001 - this table is the class's own
    HEADERS: Http2Connection._take_headers,  # noqa: SLF001 - likewise
    RST_STREAM: Http2Connection._take_reset,  # noqa: SLF001 - likewise
    SETTINGS: Http2Connection._take_settings,  # noqa: SLF001 - likewise
    PUSH_PROMISE: Http2Connection._take_push,  # noqa: SLF001 - likewise
    PING: Http2Connection._take_ping,  # noqa: SLF001 - likewise
    WINDOW_UPDATE: Http2Connection._take_window,  # noqa: SLF001 - likewise
    CONTINUATION: Http2Connection._take_continuation,  # noqa: SLF001 - likewise
}


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, number) + payload


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]
