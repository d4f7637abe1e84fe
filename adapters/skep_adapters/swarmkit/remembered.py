"""What was rendered of the last objects, found by identity: to hash a spec costs as much as to render it."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Templates and networks of as many services as change at a time.
REMEMBERED_MAX = 512


class Remembered(Generic[T, R]):
    """Renders objects that never change, each once while it is among the last ones."""

    def __init__(self, render: Callable[[T], R]) -> None:
        self._render = render
        #: by id: the object, which keeps the id its own, and what was rendered of it
        self._known: dict[int, tuple[T, R]] = {}

    def __call__(self, value: T) -> R:
        """Return what is rendered of `value`; nobody may change it."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = value, self._render(value)
            if len(self._known) > REMEMBERED_MAX:
                del self._known[next(iter(self._known))]
        return found[1]
