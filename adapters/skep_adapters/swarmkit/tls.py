"""TLS over a connection of asyncio's, with little memory and few steps.

asyncio's own keeps a buffer of 256 KiB for each connection, which is a quarter of a GiB for a thousand agents that are
silent most of the time, and takes three layers of calls for each piece of data.
"""

import asyncio
import contextlib
import ssl
from typing import Any, cast

#: A peer must prove itself in this time, or it only holds a place.
HANDSHAKE_S = 20.0

READ_BYTES = 64 * 1024

#: What a peer does not read of its answers; handlers wait long before, and whatever it asks for then is too much.
UNREAD_BYTES_MAX = 16 * 1024 * 1024


class TlsProtocol(asyncio.Protocol):
    """The server's side of a connection; subclasses take what comes, and write.

    `write` gathers what is written in a turn of the loop: it goes out as one.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._secured = False
        self._gathered: list[bytes] = []
        self._certificate: dict[str, Any] | None = None

    # --- for subclasses

    def secured(self) -> None:
        """Begin: the peer has shown its certificate, if it has one."""

    def received(self, data: bytes) -> None:
        """Take data."""

    def lost(self) -> None:
        """End; nothing can be written any more."""

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the loop."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.append(data)

    def close(self) -> None:
        """Write what was gathered, and close."""
        if self._transport is None or self._transport.is_closing():
            return
        self._flush()
        if self._secured:
            with contextlib.suppress(ssl.SSLError):  # the peer's last word is not waited for
                self._tls.unwrap()
            self._send()
        self._transport.close()

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport is None or self._transport.is_closing()

    def cert(self) -> dict[str, Any] | None:
        """Return the peer's certificate, as `ssl` has it; the same for as long as the connection lasts."""
        if self._certificate is None:
            self._certificate = self._tls.getpeercert()
        return self._certificate

    def addr(self) -> tuple[Any, ...] | None:
        """Return the peer's address."""
        found: tuple[Any, ...] | None = self._transport.get_extra_info("peername") if self._transport else None
        return found

    # --- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a handshake."""
        self._transport = transport = cast("asyncio.Transport", transport)
        self._timeout = asyncio.get_running_loop().call_later(HANDSHAKE_S, transport.abort)

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        if self._timeout is not None:
            self._timeout.cancel()
        self._transport = None
        self._gathered.clear()
        if self._secured:
            self.lost()

    def data_received(self, data: bytes) -> None:
        """Decrypt."""
        self._incoming.write(data)
        try:
            if not self._secured and not self._shake_hands():
                return
            while plain := self._tls.read(READ_BYTES):
                self.received(plain)
            self.close()  # the peer said that it closes
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError:
            self._send()  # the alert that says why
            self.close()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        finally:
            self._send()
        self._secured = True
        if self._timeout is not None:
            self._timeout.cancel()
        self.secured()
        return True

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if not gathered or self.closing:
            return
        try:
            self._tls.write(b"".join(gathered))
        except ssl.SSLError:
            self.close()
            return
        self._send()

    def _send(self) -> None:
        transport = self._transport
        if self._outgoing.pending and transport is not None and not transport.is_closing():
            transport.write(self._outgoing.read())
            if transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
                transport.abort()
