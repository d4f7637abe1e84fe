"""Read a request's body into one of the model's structs, as Go's decoder reads it into its own.

Rules, all recorded (FACTS, chapter 1; scenario 21):

- keys are matched whatever their case, the last of several wins, unknown ones are ignored;
- `null` leaves a field unsaid; what follows the value is ignored;
- the first value of a wrong type is named by field and type, in Go's words.

A table of readers is compiled from a struct's types on first use, with Go's names out of `go_types`.
"""

import base64
import enum
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec import inspect

from skep_adapters.docker_api import go_json, go_types
from skep_adapters.docker_api.errors import bad_request
from skep_adapters.docker_api.go_json import Members, Number

S = TypeVar("S", bound=msgspec.Struct)

_INTEGER = re.compile(r"-?[0-9]{1,20}")
#: One byte takes so many digits, and as many marks in place of the rest of its four.
_DIGITS_OF_A_BYTE = 2
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*")


class _Place(NamedTuple):
    """Where a value stands: the Go struct, and the dotted path of fields to it."""

    struct: str = ""
    path: str = ""

    def within(self, struct: str, name: str) -> "_Place":
        return _Place(struct, f"{self.path}.{name}" if self.path else name)


class _Reader(NamedTuple):
    """How values of a type are read, and what `null` is in a list of them."""

    read: Callable[[Any, _Place], Any]
    zero: Callable[[], Any]
    go: str


def decode(kind: type[S], raw: bytes) -> S:
    """Return the body `raw` as a `kind`; `null` is an empty one.

    Raises:
        ApiError: 400, in Go's words.
    """
    try:
        value = go_json.parse(raw)
    except EOFError:
        raise bad_request("got EOF while reading request body") from None
    if value is None:
        return kind()
    read: S = _struct(kind, go_types.STRUCTS[kind]).read(value, _Place())
    return read


def _mismatch(value: Any, go: str, place: _Place, *, text: bool = False) -> NoReturn:
    """Refuse `value`; `text` when a number is named as written, as Go does where one was wanted, but another."""
    where = f"Go struct field {place.struct}.{place.path}" if place.struct else "Go value"
    raise bad_request(f"json: cannot unmarshal {_named(value, text=text)} into {where} of type {go}")


def _named(value: Any, *, text: bool = False) -> str:
    match value:
        case Number():
            return f"number {value}" if text else "number"
        case str():
            return "string"
        case bool():
            return "bool"
        case Members():
            return "object"
        case list():
            return "array"
    return "null"


@functools.cache
def _struct(kind: type[msgspec.Struct], go: str) -> _Reader:
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{kind} is no struct")
    fields: dict[str, tuple[str, str, _Reader]] = {}
    for one in info.fields:
        reader = _reader(one.type, go_types.FIELDS.get((kind, one.name), ""))
        fields[one.encode_name.lower()] = (one.name, one.encode_name, reader)
    struct = go.rpartition(".")[2]

    def read(value: Any, place: _Place) -> msgspec.Struct:
        if not isinstance(value, Members):
            _mismatch(value, go, place)
        said: dict[str, Any] = {}
        for key, member in value:
            known = fields.get(key.lower())
            if known is None:
                continue
            attribute, name, reader = known
            if member is None:
                said.pop(attribute, None)
            else:
                said[attribute] = reader.read(member, place.within(struct, name))
        return kind(**said)

    return _Reader(read, kind, go)


def _reader(info: inspect.Type, go: str) -> _Reader:
    """Return the reader of a type; `go` is its name where it is not the usual one."""
    match info:
        case inspect.UnionType():
            (some,) = (one for one in info.types if not isinstance(one, inspect.NoneType))
            return _reader(some, go)
        case inspect.StructType():
            return _struct(info.cls, go or go_types.STRUCTS[info.cls])
        case inspect.VarTupleType():
            return _list(_reader(info.item_type, ""), go)
        case inspect.DictType():
            return _map(_reader(info.value_type, ""), go)
        case inspect.EnumType():
            return _enum(info.cls, go)
    return _LEAVES[type(info)](go)


def _list(item: _Reader, go: str) -> _Reader:
    name = go or f"[]{item.go}"

    def read(value: Any, place: _Place) -> tuple[Any, ...]:
        if not isinstance(value, list) or isinstance(value, Members):
            _mismatch(value, name, place)
        return tuple(item.zero() if one is None else item.read(one, place) for one in value)

    return _Reader(read, tuple, name)


def _map(item: _Reader, go: str) -> _Reader:
    name = go or f"map[string]{item.go}"

    def read(value: Any, place: _Place) -> dict[str, Any]:
        if not isinstance(value, Members):
            _mismatch(value, name, place)
        return {go_json.whole(k): item.zero() if v is None else item.read(v, place) for k, v in value}

    return _Reader(read, dict, name)


def _enum(kind: type[enum.Enum], go: str) -> _Reader:
    """Return the reader of a word; a wrong one is refused by the Go type's last word (`invalid Role: "boss"`)."""

    def read(value: Any, place: _Place) -> enum.Enum:
        word = _read_string(go, value, place)
        try:
            return kind(word)
        except ValueError:
            raise bad_request(f"invalid {kind.__name__}: {go_json.quoted(word)}") from None

    return _Reader(read, lambda: None, go)


def _integer(go: str) -> _Reader:
    low, high = go_types.RANGES.get(go, go_types.INT64)

    def read(value: Any, place: _Place) -> int:
        if not isinstance(value, Number):
            _mismatch(value, go, place)
        if not _INTEGER.fullmatch(value) or not low <= (number := int(value)) <= high:
            _mismatch(value, go, place, text=True)
        return number

    return _Reader(read, int, go)


def _read_string(go: str, value: Any, place: _Place) -> str:
    if not isinstance(value, str) or isinstance(value, Number):
        _mismatch(value, go, place)
    return go_json.whole(value)


def _read_bool(value: Any, place: _Place) -> bool:
    if not isinstance(value, bool):
        _mismatch(value, "bool", place)
    return value


def _read_float(value: Any, place: _Place) -> float:
    if not isinstance(value, Number):
        _mismatch(value, "float32", place)
    number = float(value)
    if number in (float("inf"), float("-inf")):
        _mismatch(value, "float32", place, text=True)
    return number


def _read_bytes(value: Any, place: _Place) -> bytes:
    if not isinstance(value, str) or isinstance(value, Number):
        _mismatch(value, "[]uint8", place)
    if (fault := _base64_fault(value)) is not None:
        raise bad_request(f"illegal base64 data at input byte {fault}")
    return base64.b64decode(value)


def _base64_fault(text: str) -> int | None:
    """Return the byte at which Go finds that `text` is no base64; None if it is. Ends of lines count, and say nothing.

    What breaks off is told of where its last group of four began.
    """
    text = text.encode("utf-8", "surrogatepass").decode("latin-1")
    digits = _BASE64.match(text)
    end = digits.end() if digits else 0
    places = [at for at in range(end) if text[at] not in "\r\n"]
    over = len(places) % 4
    rest = [at for at in range(end, len(text)) if text[at] not in "\r\n"]
    if not rest:
        return end - over if over else None
    first, *more = rest
    if text[first] != "=" or over < _DIGITS_OF_A_BYTE:
        return first
    if over == _DIGITS_OF_A_BYTE:
        if not more:
            return len(text)
        if text[more[0]] != "=":
            return first
        del more[0]
    return more[0] if more else None


def _plain(value: Any) -> object:
    """Return a value of any shape as Python has it."""
    match value:
        case Members():
            return {go_json.whole(k): _plain(v) for k, v in value}
        case Number():
            return int(value) if _INTEGER.fullmatch(value) else float(value)
        case str():
            return go_json.whole(value)
        case list():
            return [_plain(one) for one in value]
    return value


#: Readers of what has no parts, made of the Go type's name where it is not the usual one.
_LEAVES: dict[type[inspect.Type], Callable[[str], _Reader]] = {
    inspect.IntType: lambda go: _integer(go or "int64"),
    inspect.StrType: lambda go: _Reader(functools.partial(_read_string, go or "string"), str, go or "string"),
    inspect.BytesType: lambda _: _Reader(_read_bytes, bytes, "[]uint8"),
    inspect.BoolType: lambda _: _Reader(_read_bool, bool, "bool"),
    inspect.FloatType: lambda _: _Reader(_read_float, float, "float32"),
    inspect.CustomType: lambda _: _Reader(lambda value, _: _plain(value), lambda: None, "interface {}"),
}


def decode_map(value: Any, go: str) -> Mapping[str, Any]:
    """Return a parsed value that must be an object as a mapping, the last of repeated keys winning."""
    if not isinstance(value, Members):
        _mismatch(value, go, _Place())
    return dict(value)


def refuse(value: Any, go: str) -> NoReturn:
    """Refuse a parsed value that is no `go`."""
    _mismatch(value, go, _Place())
