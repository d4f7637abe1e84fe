"""An event loop in which waiting takes no time, and a clock that follows it."""

import asyncio
import selectors

from skep.model.ids import Instant

START_NS = 1_700_000_000_000_000_000


class _Selector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: everybody waits for somebody")
        self.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


class LoopClock:
    """Implements `Clock`."""

    def now(self) -> Instant:
        return Instant(START_NS + round(asyncio.get_running_loop().time() * 1e9))
