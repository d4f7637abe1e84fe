"""Instants as Go writes and reads them."""

import datetime as dt
import re

from skep.model.ids import NANOSECONDS, Instant

_ZERO = "0001-01-01T00:00:00Z"
_SECONDS = re.compile(r"[+-]?[0-9]+")


def rfc3339(at: Instant) -> str:
    """Return `at` as RFC3339Nano: UTC, without trailing zeros; Go's zero time for 0."""
    if not at:
        return _ZERO
    seconds, nanoseconds = divmod(at, NANOSECONDS)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{_to_the_second(seconds)}{fraction}Z"


def rfc3339_fixed(at: Instant) -> str:
    """Return `at` with all nine digits of its fraction, as a log's timestamps are (so that they align and sort)."""
    seconds, nanoseconds = divmod(at, NANOSECONDS)
    return f"{_to_the_second(seconds)}.{nanoseconds:09d}Z"


def parse_timestamp(text: str) -> Instant:
    """Read `seconds[.fraction]` since the epoch, the only form that clients send.

    Raises:
        ValueError: in the words of Go's strconv.
    """
    seconds, _, fraction = text.partition(".")
    if not _SECONDS.fullmatch(seconds):
        raise ValueError(f'strconv.ParseInt: parsing "{seconds}": invalid syntax')
    if fraction and not fraction.isdecimal():
        raise ValueError(f'strconv.ParseInt: parsing "{fraction}": invalid syntax')
    return Instant(int(seconds) * NANOSECONDS + int(f"{fraction:0<9}"[:9]))


def _to_the_second(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
