"""What differs between two specs: the paths of fields, in the Engine API's names."""

from collections.abc import Iterator
from typing import Any

import msgspec


def differences(old: object, new: object) -> tuple[str, ...]:
    """Return the paths at which two specs differ, as `TaskTemplate.ContainerSpec.Image`; lists count as a whole."""
    return tuple(_paths(msgspec.to_builtins(old), msgspec.to_builtins(new), ""))


def _paths(old: Any, new: Any, path: str) -> Iterator[str]:
    if old == new:
        return
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield path
        return
    for key in {**old, **new}:
        yield from _paths(old.get(key), new.get(key), f"{path}.{key}" if path else key)
