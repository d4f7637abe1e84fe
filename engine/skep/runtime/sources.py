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
    """Ids of SwarmKit's form: 25 random digits and lower-case letters. They are made by the thousand, so in batches."""

    def __init__(self) -> None:
        self._ready: list[str] = []

    def new(self) -> str:
        """Return a new id."""
        if not self._ready:
            text = secrets.token_bytes(_BATCH_BYTES).translate(_DIGIT_OF, _UNEVEN).decode()
            self._ready = [text[i : i + _ID_LENGTH] for i in range(0, len(text) - _ID_LENGTH + 1, _ID_LENGTH)]
        return self._ready.pop()


_ID_LENGTH = 25
_BATCH_BYTES = 4096
#: A byte gives a digit; the few bytes that would make some digits likelier than others give none.
_DIGIT_OF = bytes(ord(_DIGITS[byte % len(_DIGITS)]) for byte in range(256))
_UNEVEN = bytes(range(256 - 256 % len(_DIGITS), 256))


def base36(number: int) -> str:
    """Return `number` in digits and lower-case letters."""
    digits = []
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)) or "0"
