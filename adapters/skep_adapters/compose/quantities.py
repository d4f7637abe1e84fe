"""Text that stands for an amount: durations, sizes, CPUs."""

import re
from fractions import Fraction

from skep_adapters.compose.place import Place

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(?P<number>[0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})(?P<unit>ns|us|µs|μs|ms|s|m|h)")
_SIZE = re.compile(
    r"(?P<number>[0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19}) ?(?P<unit>[kKmMgGtTpP]?)(?P<bytes>[iI]?[bB])?"
)
_CPUS = re.compile(r"[-+]?[0-9]{0,19}(?:\.[0-9]{0,19})?(?:/[0-9]{1,19})?")

#: The most that a number of 64 bits holds.
INT64_MAX = 2**63 - 1


def duration_ns(text: str, place: Place) -> int:
    """Return a duration such as `1m30s` in nanoseconds."""
    wanted = "a duration such as 1m30s or 500ms"
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, at = Fraction(0), 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            place.refuse_value(text, wanted)
        total += (
            Fraction(part["number"] if not part["number"].endswith(".") else part["number"][:-1])
            * _NANOSECONDS[part["unit"]]
        )
        at = part.end()
    if not rest or total > INT64_MAX:
        place.refuse_value(text, wanted)
    return sign * int(total)


def size_bytes(text: str, place: Place) -> int:
    """Return a size such as `50M` in bytes; units are powers of 1,024."""
    found = _SIZE.fullmatch(text)
    # an i needs a unit before it
    if found is None or (not found["unit"] and (found["bytes"] or "").lower() == "ib"):
        place.refuse_value(text, "a size such as 50M or 1.5GiB")
    power = " kmgtp".index(found["unit"].lower() or " ")
    size = int(float(found["number"]) * 1024**power)
    if size > INT64_MAX:
        place.refuse_value(text, "a size of at most 8 EiB")
    return size


def nano_cpus(text: str, place: Place) -> int:
    """Return a number of CPUs such as `0.5` in billionths."""
    try:
        nano = Fraction(text) * 10**9 if _CPUS.fullmatch(text) else None
    except (ValueError, ZeroDivisionError):
        nano = None
    if nano is None or nano.denominator != 1 or abs(nano) > INT64_MAX:
        place.refuse_value(text, "a number of CPUs such as 0.5, of at most nine decimals")
    return int(nano)
