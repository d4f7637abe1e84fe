"""The append-only log: one writer at a time, many readers.

Guarantees:

- positions are dense and start at 1; a record is one transaction, opaque bytes of UTF-8 JSON, at most 1,440 KiB;
- whoever claims last is the writer: an append under an older epoch is a `Conflict`, and changes nothing;
- an append is all or nothing, and durable before it answers `Appended`;
- an append that raises `AppendUnknown` may or may not have happened; only a new claim and a read tell;
- readers never block a commit and see only durable records, in order, without gaps;
- records are chained: `digest(n) = sha256(digest(n - 1) + body(n))`, with 32 zero bytes before the first.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import NewType, Protocol

from msgspec import Struct

from skep.model.ids import Position

Epoch = NewType("Epoch", int)

#: Holds the largest config that Swarm takes, in base64, and fits etcd's default request limit (1.5 MiB) with room for
#: its framing.
RECORD_BYTES_MAX = 1440 * 1024

#: What the chain starts from.
GENESIS = bytes(32)


def chained(digest: bytes, body: bytes) -> bytes:
    """Return the digest of a record, given that of the record before it."""
    return hashlib.sha256(digest + body).digest()


def storable(bodies: Sequence[bytes]) -> list[str]:
    """Return the records of an append as text.

    Raises:
        ValueError: there is none, or one is larger than RECORD_BYTES_MAX or not UTF-8.
    """
    if not bodies:
        raise ValueError("an append needs at least one record")
    for body in bodies:
        if len(body) > RECORD_BYTES_MAX:
            raise ValueError(f"a record of {len(body)} bytes is too large; {RECORD_BYTES_MAX} is the most")
    return [body.decode() for body in bodies]


class Recorded(Struct, frozen=True, gc=False):
    """A stored record."""

    position: Position
    body: bytes


class Head(Struct, frozen=True, gc=False):
    """The end of a log: its last position (0 if empty) and the chain's digest there."""

    position: Position
    digest: bytes


class Claim(Struct, frozen=True, gc=False):
    """The right to append, until someone claims after us."""

    epoch: Epoch
    head: Head
    dropped: str = ""
    """What a crash left torn and was dropped at opening, in words; empty if nothing."""


class LogError(Exception):
    """Something between us and the log's storage went wrong; the message says what and where."""


class Conflict(LogError):
    """Somebody else claimed or appended; nothing of ours was written."""


class AppendUnknown(LogError):
    """Whether the append happened is not known."""


class LogFull(LogError):
    """There is no room; nothing was written. A later append may succeed."""


class LogLocked(LogError):
    """Another process is the writer; the message names the file and the process if known."""


class Compacted(LogError):
    """The records asked for are older than the oldest kept."""


class LogDamaged(LogError):
    """Stored records are not what was written. `position` is the last position known to be good."""

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position


class EventLog(Protocol):
    """An append-only log of transactions."""

    async def claim(self) -> Claim:
        """Become the writer, and return where the log ends.

        Raises:
            LogLocked: another process holds the right and does not give it up.
            LogDamaged: the end is not what was written.
        """
        ...

    async def append(self, bodies: Sequence[bytes], *, expected: Position, epoch: Epoch) -> Head:
        """Append `bodies` after `expected`, durably and all or nothing; return the new end.

        Not safe to cancel: after a cancellation the outcome is unknown.

        Raises:
            Conflict: the log does not end at `expected`, or `epoch` is not the last one claimed.
            LogFull: no room; nothing was written.
            AppendUnknown: it may or may not have been written; until the next claim, every append is a `Conflict`.
            ValueError: see `storable`; nothing was written.
        """
        ...

    async def read(self, after: Position, *, limit: int) -> Sequence[Recorded]:
        """Return at most `limit` durable records that follow `after`, oldest first, without gaps.

        Empty means "nothing yet". Safe to cancel.

        Raises:
            Compacted: `after` is older than the oldest record kept.
            LogDamaged: the chain does not hold.
        """
        ...

    def follow(self, after: Position) -> AsyncIterator[Recorded]:
        """Yield every record that follows `after`, and then each new one when it is durable. Never ends by itself."""
        ...

    async def head(self) -> Head:
        """Return the end of what is durable."""
        ...

    async def aclose(self) -> None:
        """Give up the claim and close. Idempotent."""
        ...
