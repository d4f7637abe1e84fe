"""A loop whose time can fly, with real sockets and real clients: while it flies, waiting takes no time.

    with loop.flying():
        await anyio.sleep(3600)

Time goes at its usual rate otherwise. It flies from timer to timer, so everything that is due happens, in order, and
only when nothing comes in by a socket. A client cannot hurry: timers that wait for one must be patient.
"""

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Selector(selectors.DefaultSelector):
    """Waits for sockets; while time flies it jumps to the next timer instead."""

    def __init__(self, ahead_s: Callable[[], float]) -> None:
        super().__init__()
        self.offset_s = 0.0
        self._ahead_s = ahead_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is not None and (ahead_s := self._ahead_s()) > 0:
            self.offset_s += min(timeout, ahead_s)
            return []
        return super().select(timeout)


class FlyingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can fly."""

    def __init__(self) -> None:
        self._flights = 0
        #: asked when there is nothing to do: how many seconds may fly by
        self.may_fly_s: Callable[[], float] = lambda: 0.0
        self._flying = _Selector(self._ahead_s)
        super().__init__(self._flying)

    def time(self) -> float:
        """Return the seconds since some instant, those that flew by included."""
        return time.monotonic() + self._flying.offset_s

    @contextmanager
    def flying(self) -> Iterator[None]:
        """Have time fly for as long as the context lasts."""
        self._flights += 1
        try:
            yield
        finally:
            self._flights -= 1

    def _ahead_s(self) -> float:
        return math.inf if self._flights else self.may_fly_s()
