"""Ids and clocks that repeat themselves."""

from random import Random

from skep.model.ids import NANOSECONDS, Instant
from skep.runtime.sources import base36

#: When test clocks begin: 2023-11-14T22:13:20Z.
BEGINNING = Instant(1_700_000_000 * NANOSECONDS)

_DIGITS = 25


class SeededIds:
    """Ids that look random and follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - it must repeat itself

    def new(self) -> str:
        """Return the next id."""
        return base36(self._random.getrandbits(136) | 1 << 135)[1 : _DIGITS + 1]


class NumberedIds:
    """Ids that a person can tell apart: `0000000000000000000000001`, `...2`, in order."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._last = 0

    def new(self) -> str:
        """Return the next id."""
        self._last += 1
        return self._prefix + str(self._last).rjust(_DIGITS - len(self._prefix), "0")


class ManualClock:
    """A clock that is moved by hand."""

    def __init__(self, now: Instant = BEGINNING) -> None:
        self._now = now

    def now(self) -> Instant:
        """Return where it stands."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move it on, or back."""
        self._now = Instant(self._now + round(seconds * NANOSECONDS))

    def set(self, now: Instant) -> None:
        """Put it to an instant."""
        self._now = now
