"""Instants as Go writes and reads them."""

import datetime as dt
import functools
import re

from skep.model.ids import NANOSECONDS, Instant

from skep_adapters.docker_api import go_json

_ZERO = "0001-01-01T00:00:00Z"
_SECONDS = re.compile(r"[+-]?[0-9]+")

#: A duration as Go writes it; of more digits than these, it is longer than time.
_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(h|m(?!s)|s|ms|us|µs|ns)")
_DURATION = re.compile(f"(?:{_PART.pattern}){{1,8}}")
_NANOSECONDS = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1}

#: Writing a second takes as long as all else of a task: those of a list are few, and come again.
SECONDS_KEPT = 4_096

#: So much of what is no time is repeated in the complaint.
MOMENT_CHARS_MAX = 100


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
        raise ValueError(f"strconv.ParseInt: parsing {go_json.quoted(seconds)}: invalid syntax")
    if fraction and not fraction.isdecimal():
        raise ValueError(f"strconv.ParseInt: parsing {go_json.quoted(fraction)}: invalid syntax")
    return Instant(int(seconds) * NANOSECONDS + int(f"{fraction:0<9}"[:9]))


def parse_moment(text: str, now: Instant) -> Instant:
    """Read an instant as people write it: how long ago (`1h30m`), a time of RFC 3339, whole or not, or seconds.

    Raises:
        ValueError: it is nothing of that.
    """
    if _DURATION.fullmatch(text):
        parts = ((float(number), unit) for number, unit in _PART.findall(text))
        return Instant(now - int(sum(number * _NANOSECONDS[unit] for number, unit in parts)))
    try:
        if "-" not in text:
            return parse_timestamp(text)
        return Instant(int(dt.datetime.fromisoformat(text).timestamp() * NANOSECONDS))
    except (ValueError, OverflowError):
        raise ValueError(f'failed to parse value as time or duration: "{text[:MOMENT_CHARS_MAX]}"') from None


@functools.lru_cache(maxsize=SECONDS_KEPT)
def _to_the_second(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
