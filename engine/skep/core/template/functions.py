"""The functions of a template that need nothing but their arguments: Go's own, and SwarmKit's `join`.

`and` and `or` are not here: they do not look at all of their arguments.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from skep.core.template.formatting import formatted, spaced, written
from skep.core.template.mistake import Wrong, as_bytes
from skep.core.template.values import Record, Value, is_true, type_name

#: Where pieces of text are put together: it is where their size is limited.
Join = Callable[[Iterable[str]], str]


class Signature(Struct, frozen=True):
    """How a function is called: with `least` arguments or more, or exactly; the first `texts` of them text, -1: all."""

    call: Callable[[list[Value], Join], Value]
    least: int
    more: bool = False
    texts: int = 0


def _print(values: list[Value], join: Join) -> Value:
    return join(spaced(values))


def _println(values: list[Value], join: Join) -> Value:
    pieces: list[str] = []
    for number, value in enumerate(values):
        pieces += [" "] if number else []
        pieces += written(value)
    return join([*pieces, "\n"])


def _printf(values: list[Value], join: Join) -> Value:
    return join(formatted(str(values[0]), values[1:]))


def _join(values: list[Value], join: Join) -> Value:
    separator, *texts = (str(value) for value in values)
    return join(piece for number, text in enumerate(texts) for piece in ((separator, text) if number else (text,)))


def _len(values: list[Value], _: Join) -> Value:
    value = values[0]
    if isinstance(value, str):
        return len(as_bytes(value))
    if isinstance(value, Mapping | tuple):
        return len(value)
    raise Wrong("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def _index(values: list[Value], _: Join) -> Value:
    found = values[0]
    if found is None:
        raise Wrong("index of untyped nil")
    for key in values[1:]:
        if isinstance(found, Mapping):
            if not isinstance(key, str):
                raise Wrong(f"value has type {type_name(key)}; should be string")
            found = found.get(key, "")
        elif isinstance(found, str | tuple):
            if not isinstance(key, int) or isinstance(key, bool):
                raise Wrong(f"cannot index slice/array with type {type_name(key)}")
            row = as_bytes(found) if isinstance(found, str) else found
            if not 0 <= key < len(row):
                raise Wrong(f"index out of range: {key}")
            found = row[key]
        else:
            raise Wrong(f"can't index item of type {type_name(found)}")
    return found


def _not(values: list[Value], _: Join) -> Value:
    return not is_true(values[0])


def _eq(values: list[Value], _: Join) -> Value:
    if len(values) == 1:
        raise Wrong("missing argument for comparison")
    return any(_equal(values[0], other) for other in values[1:])


def _ne(values: list[Value], _: Join) -> Value:
    return not _equal(values[0], values[1])


def _lt(values: list[Value], _: Join) -> Value:
    return _less(values[0], values[1])


def _le(values: list[Value], _: Join) -> Value:
    return _less(values[0], values[1]) or _equal(values[0], values[1])


def _gt(values: list[Value], _: Join) -> Value:
    return not (_less(values[0], values[1]) or _equal(values[0], values[1]))


def _ge(values: list[Value], _: Join) -> Value:
    return not _less(values[0], values[1])


def _equal(one: Value, other: Value) -> bool:
    if one is None or other is None:
        return one is other
    if type(one) is not type(other):
        raise Wrong("incompatible types for comparison")
    if isinstance(one, Record | Mapping | tuple):
        raise Wrong(f"non-comparable type {type_name(one)}")
    return one == other


def _less(one: Value, other: Value) -> bool:
    for value in (one, other):
        if isinstance(value, Record | Mapping | tuple | None):
            raise Wrong("invalid type for comparison")
    if type(one) is not type(other):
        raise Wrong("incompatible types for comparison")
    if isinstance(one, str) and isinstance(other, str):
        return as_bytes(one) < as_bytes(other)
    if isinstance(one, bool) or not isinstance(one, int | float) or not isinstance(other, int | float):
        raise Wrong("invalid type for comparison")
    return one < other


FUNCTIONS: Mapping[str, Signature] = {
    "eq": Signature(_eq, 1, more=True),
    "ge": Signature(_ge, 2),
    "gt": Signature(_gt, 2),
    "index": Signature(_index, 1, more=True),
    "join": Signature(_join, 1, more=True, texts=-1),
    "le": Signature(_le, 2),
    "len": Signature(_len, 1),
    "lt": Signature(_lt, 2),
    "ne": Signature(_ne, 2),
    "not": Signature(_not, 1),
    "print": Signature(_print, 0, more=True),
    "printf": Signature(_printf, 1, more=True, texts=1),
    "println": Signature(_println, 0, more=True),
}

#: What every template may call.
NAMES = frozenset({*FUNCTIONS, "and", "or"})
