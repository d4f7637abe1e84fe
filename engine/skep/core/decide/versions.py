"""Optimistic concurrency: which versions an update may be based on."""

from typing import Protocol

from skep.core.rejected import Rejected
from skep.model.ids import Position


class Versioned(Protocol):
    """An object with the position of its last change, and of its last change by a client."""

    @property
    def version(self) -> Position:
        """The position of its last change."""
        ...

    @property
    def written(self) -> Position:
        """The position of its last change by a client."""
        ...


def check_version(thing: Versioned, version: Position) -> None:
    """Accept a version from the last client write up to now, since what the engine did meanwhile is no conflict.

    Swarm wants the very last one; this is listed among the differences (docs/decisions).

    Raises:
        Rejected: update out of sequence.
    """
    if not thing.written <= version <= thing.version:
        raise Rejected.out_of_sequence()
