"""Virtual time: a loop in which waiting takes no time, and in which waiting for nothing is an error.

    run_virtual(main())

With pytest-asyncio, in a `conftest.py`:

    def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualLoop]]:
        return {"virtual": VirtualLoop}

No threads and no sockets live here: what comes from outside the loop never comes, and to wait for it is a `Deadlock`.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from skep.model.ids import NANOSECONDS, Instant
from skep.testing.sources import BEGINNING

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing will ever happen: everybody waits for somebody."""


class _Selector(selectors.SelectSelector):
    """Jumps to the next timer instead of waiting for it. Time is counted in whole nanoseconds, so that it adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing will ever happen: everybody waits for somebody")
        if timeout > 0:
            self.now_ns += math.ceil(timeout * NANOSECONDS)
            self.now_s = self.now_ns / NANOSECONDS
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps from timer to timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds since the loop was made, by its own time."""
        return self._virtual.now_s

    @property
    def now_ns(self) -> int:
        """The same in nanoseconds, exactly."""
        return self._virtual.now_ns


class VirtualClock:
    """Implements `Clock`: the running loop's time, from `beginning` on; `offset_ns` makes it jump."""

    def __init__(self, beginning: Instant = BEGINNING) -> None:
        self._beginning = beginning
        self.offset_ns = 0

    def now(self) -> Instant:
        """Return the present instant."""
        loop = asyncio.get_running_loop()
        passed = loop.now_ns if isinstance(loop, VirtualLoop) else round(loop.time() * NANOSECONDS)
        return Instant(self._beginning + passed + self.offset_ns)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time, and return what it returns.

    Raises:
        Deadlock: everybody waits for somebody.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
