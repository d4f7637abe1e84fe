"""Checkpoints: states saved so that recovery need not fold the whole log. Local, and deletable at any time."""

from typing import Protocol

from msgspec import Struct

from skep.model.ids import Position


class Checkpoint(Struct, frozen=True):
    """A state at a position, encoded by `skep.core.codec`; `fold_version` says by which fold."""

    position: Position
    digest: bytes
    fold_version: str
    body: bytes


class Checkpoints(Protocol):
    """A place for checkpoints. Losing one costs time, never truth.

    Whoever saves one also moves the anchor: the position and digest, kept apart from the log, that the log's end must
    reach. A log that ends before its anchor, or whose digest differs there, is damaged.
    """

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep `checkpoint` durably; older ones may go."""
        ...

    async def latest(self, *, fold_version: str) -> Checkpoint | None:
        """Return the newest whole one that this version of the fold can use. A damaged one is skipped."""
        ...

    async def positions(self) -> list[Position]:
        """Return the positions of all kept, oldest first."""
        ...

    async def load(self, position: Position) -> Checkpoint | None:
        """Return the one at `position`, of whatever version, or None."""
        ...
