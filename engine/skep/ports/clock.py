"""Time, ids and randomness: the only sources of what cannot be derived."""

from collections.abc import Callable
from typing import Protocol

from skep.model.ids import Instant

#: Gives so many random bytes, fit for keys: `secrets.token_bytes`, or in a simulation a seeded source.
Draw = Callable[[int], bytes]


class Clock(Protocol):
    """Wall-clock time. Waiting is `anyio.sleep`, which follows the event loop's own time."""

    def now(self) -> Instant:
        """Return the present instant. May jump either way."""
        ...


class Ids(Protocol):
    """A source of object ids."""

    def new(self) -> str:
        """Return 25 characters of [0-9a-z], never returned before."""
        ...
