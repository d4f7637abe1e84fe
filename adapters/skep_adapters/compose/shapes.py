"""Shapes of values: each reads what stands in a place, or refuses it there.

What comes out is in one form only: a list where one word or several may stand, a mapping where `NAME=value` may.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skep_adapters.compose.place import Place
from skep_adapters.compose.quantities import duration_ns, nano_cpus, size_bytes

Shape = Callable[[Any, Place], Any]

#: Go writes fractions from here on, and up to here, with an exponent.
_LARGE, _SMALL = 1e21, 1e-4


class Since(NamedTuple):
    """A shape that files have since version 3.`minor`."""

    minor: int
    shape: Shape


def text(value: Any, place: Place) -> str:
    """Read text."""
    if not isinstance(value, str):
        place.refuse_value(value, "text" + (", so put it in quotes" if isinstance(value, bool | int | float) else ""))
    return value


def whole(value: Any, place: Place) -> int:
    """Read a whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        place.refuse_value(value, "a whole number")
    return value


def count(value: Any, place: Place) -> int:
    """Read a whole number that is not negative."""
    number = whole(value, place)
    if number < 0:
        place.refuse_value(value, "a whole number, 0 or more")
    return number


def number(value: Any, place: Place) -> float:
    """Read a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.refuse_value(value, "a number")
    return value


def truth(value: Any, place: Place) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        place.refuse_value(value, "true or false")
    return value


def duration(value: Any, place: Place) -> int:
    """Read a duration in nanoseconds."""
    return duration_ns(text(value, place), place)


def size(value: Any, place: Place) -> int:
    """Read a size in bytes."""
    return size_bytes(text(value, place), place)


def cpus(value: Any, place: Place) -> int:
    """Read CPUs in billionths."""
    return nano_cpus(text(value, place), place)


def anything(value: Any, _: Place) -> Any:
    """Read what nobody looks at."""
    return value


def words(value: Any, place: Place) -> list[str]:
    """Read a list of text."""
    read: list[str] = listing(text)(value, place)
    return read


def different(value: Any, place: Place) -> list[str]:
    """Read a list of text in which nothing stands twice."""
    read = words(value, place)
    seen: dict[str, None] = {}
    for index, one in enumerate(read):
        if one in seen:
            place.at(index).refuse(f"{one!r} stands here twice")
        seen[one] = None
    return read


def one_or_many(value: Any, place: Place) -> list[str]:
    """Read text, or a list of it."""
    return [value] if isinstance(value, str) else different(value, place)


def listing(item: Shape) -> Shape:
    """Return the shape of a list."""

    def read(value: Any, place: Place) -> list[Any]:
        if not isinstance(value, list):
            place.refuse_value(value, "a list")
        return [item(one, place.at(index)) for index, one in enumerate(value)]

    return read


def named(item: Shape, *, name: Callable[[str], bool] = bool) -> Shape:
    """Return the shape of a mapping of names to things of one shape."""

    def read(value: Any, place: Place) -> dict[str, Any]:
        if not isinstance(value, dict):
            place.refuse_value(value, "a mapping")
        for key in value:
            if not name(key):
                place.refuse(f"{key!r} cannot be a name here")
        return {key: item(one, place.at(key)) for key, one in value.items()}

    return read


def scalar(value: Any, place: Place) -> str:
    """Read text or a number, as text."""
    return text(value, place) if isinstance(value, bool) or not isinstance(value, int | float) else as_text(value)


def scalar_or_nothing(value: Any, place: Place) -> str | None:
    """Read text, a number or nothing, as text or None."""
    return None if value is None else scalar(value, place)


def pairs(value: Any, place: Place) -> dict[str, str | None]:
    """Read a mapping to text, numbers or nothing, or a list of `NAME=value`; None where there is no value."""
    if isinstance(value, list):
        split = (one.partition("=") for one in different(value, place))
        return {name: given if equals else None for name, equals, given in split}
    return named(scalar_or_nothing)(value, place)  # type: ignore[no-any-return]  # as said


def labels(value: Any, place: Place) -> dict[str, str]:
    """Read the same, an empty text where there is no value."""
    return {name: given or "" for name, given in pairs(value, place).items()}


def fields(known: Mapping[str, Shape | Since], *, extensions: int | None = None) -> Shape:
    """Return the shape of a mapping with these keys; with `extensions`, keys `x-...` as well since that version."""

    def read(value: Any, place: Place) -> dict[str, Any]:
        if not isinstance(value, dict):
            place.refuse_value(value, "a mapping")
        found = {}
        for key, one in value.items():
            shape = known.get(key)
            if shape is None:
                if extensions is None or place.minor < extensions or not key.startswith("x-"):
                    place.at(key).refuse("is no property that is known here")
                continue
            if isinstance(shape, Since):
                if place.minor < shape.minor:
                    place.at(key).refuse(f"is there since version 3.{shape.minor}, and this file says 3.{place.minor}")
                shape = shape.shape
            found[key] = shape(one, place.at(key))
        return found

    return read


def or_nothing(shape: Shape) -> Shape:
    """Return the shape of a mapping that may be left empty."""
    return lambda value, place: {} if value is None else shape(value, place)


def one_of(*known: str) -> Shape:
    """Return the shape of text that is one of a few words."""

    def read(value: Any, place: Place) -> str:
        if value not in known:
            place.refuse_value(value, " or ".join(known))
        return str(value)

    return read


def as_text(value: float) -> str:
    """Return a number as Go writes it."""
    if isinstance(value, int):
        return str(value)
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - a NaN is the one that differs
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    digits, _, exponent = f"{value!r}".replace("E", "e").partition("e")
    if value and not _SMALL <= abs(value) < _LARGE:
        scientific = f"{value:e}" if not exponent else f"{digits}e{exponent}"
        digits, _, exponent = scientific.partition("e")
        digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return f"{digits}e{int(exponent):+03d}"
    whole_text = f"{value:f}" if exponent else digits
    return whole_text.removesuffix(".0") if not exponent else whole_text.rstrip("0").rstrip(".")
