"""The values that a template works with, and what Go calls their types.

A map holds text by text. There are no lists in Swarm's context; a tuple stands for one.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct


class Record(Struct, frozen=True):
    """A struct of Go's: `type` as Go spells it, fields in order."""

    type: str
    fields: Mapping[str, "Value"]


Value: TypeAlias = str | bool | int | float | Mapping[str, str] | Sequence["Value"] | Record | None

_TYPES = {str: "string", bool: "bool", int: "int", float: "float64", tuple: "[]string", type(None): "<nil>"}


def type_name(value: Value) -> str:
    """Return the name of the type of `value`."""
    if isinstance(value, Record):
        return value.type
    return _TYPES.get(type(value), "map[string]string")


def is_true(value: Value) -> bool:
    """Say whether `if` takes it: anything but nothing, zero and what is empty."""
    return isinstance(value, Record) or bool(value)
