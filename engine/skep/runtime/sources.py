"""The real clock and the real source of ids."""

import secrets
import time

from skep.model.ids import Instant

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.time_ns())


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
