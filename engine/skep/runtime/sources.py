"""The real clock and the real source of ids."""

import secrets
import time

import anyio

from skep.model.ids import EPOCH, NANOSECONDS, Instant
from skep.ports.clock import Clock

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.time_ns())


#: Nanoseconds that the wall clock may be put back without being taken for wrong: less is what a time server does.
BACK_MAX = NANOSECONDS


class EngineClock:
    """The engine's time: the wall's, but when that was put far back it goes on from where it was, by the loop's time.

    Records never go back, so delays are reckoned from the latest. Timers must be reckoned by the same clock, or one
    hour too much makes every delay an hour longer.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._last = EPOCH
        self._at = 0.0

    def reached(self, time: Instant) -> None:
        """Note that the log already bears `time`."""
        self._last, self._at = max(self._last, time), anyio.current_time()

    def now(self) -> Instant:
        """Return the present instant."""
        wall, at = self._wall.now(), anyio.current_time()
        floor = self._last + int((at - self._at) * NANOSECONDS)
        now = wall if floor - wall < BACK_MAX else Instant(floor)
        self._last, self._at = now, at
        return now


class RandomIds:
    """Ids as SwarmKit makes them: base36 of 17 random bytes whose first bit is set, digits 2 to 26."""

    def new(self) -> str:
        """Return a new id."""
        number = secrets.randbits(136) | 1 << 135
        return base36(number)[1:26]


def base36(number: int) -> str:
    """Return `number` in digits and lower-case letters."""
    pairs = []
    while number:
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).lstrip("0") or "0"


#: Two digits at a time: ids are made by the thousand.
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
