"""Examples of any event or command, drawn from the types of its fields."""

import enum
import functools
import types
import typing
from typing import Any

import msgspec
from hypothesis import strategies as st

#: What a signed 64-bit column holds.
INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXT = st.text(max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    str: TEXT,
    bytes: st.binary(max_size=6),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    object: JSON,
}


@functools.cache
def examples(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of `kind`: a field with a default is left out now and then."""
    if isinstance(kind, typing.NewType):
        return examples(kind.__supertype__)
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.deferred(lambda: _struct(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(examples(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(examples, arguments))
    if origin is dict:
        return st.dictionaries(examples(arguments[0]), examples(arguments[1]), max_size=2)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(examples, arguments))
    raise TypeError(f"no examples for {kind}")


def _struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = msgspec.structs.fields(kind)
    return st.fixed_dictionaries(
        {field.name: examples(field.type) for field in fields if field.required},
        optional={field.name: examples(field.type) for field in fields if not field.required},
    ).map(lambda values: kind(**values))
