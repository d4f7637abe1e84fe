"""How long an event loop is held, and by what.

Every callback that the loop runs is timed, from its own `Handle`, with garbage collections that fall into it. A thread
looks now and then at a callback that takes long, and notes where it is. What a clock of the loop would see is the
`pass`: all callbacks that were ready together, one after another.
"""

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

#: A callback that takes so long is looked at, and again so often.
LOOK_S = 0.005


class LoopWatch:
    """The longest time for which one callback held the loop since the last `begin`, and which it was."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_what = ""
        #: of all collections, the longest; and the seconds of all
        self.collection_s = 0.0
        self.collections_s = 0.0
        self.late_s = 0.0
        self._started: float | None = None
        self._seen: Counter[str] = Counter()
        self._collecting = 0.0
        self._thread = threading.get_ident()

    def begin(self) -> None:
        """Forget what was measured."""
        self.longest_s = self.collection_s = self.collections_s = self.late_s = 0.0
        self.longest_what = ""

    @property
    def told(self) -> str:
        """Say what held the loop longest."""
        return f"{self.longest_what}; longest collection {self.collection_s * 1e3:.0f} ms"

    def ran(self, handle: asyncio.Handle, spent: float) -> None:
        """Note a callback."""
        if spent > self.longest_s:
            self.longest_s = spent
            where = ", ".join(f"{name} ({count})" for name, count in self._seen.most_common(2))
            self.longest_what = f"{_name(handle)}{f' in {where}' if where else ''}"

    @contextmanager
    def watching(self) -> Iterator["LoopWatch"]:
        """Watch the loop of this thread."""
        run = asyncio.Handle._run  # noqa: SLF001 - the one place through which every callback goes
        clock = time.perf_counter

        def timed(handle: asyncio.Handle) -> None:
            start = self._started = clock()
            try:
                run(handle)
            finally:
                self._started = None
                spent = clock() - start
                if spent > self.longest_s:
                    self.ran(handle, spent)
                if self._seen:
                    self._seen.clear()

        asyncio.Handle._run = timed  # noqa: SLF001 - likewise
        gc.callbacks.append(self._collect)
        done = threading.Event()
        looker = threading.Thread(target=self._look, args=(done,), daemon=True)
        looker.start()
        try:
            yield self
        finally:
            done.set()
            looker.join()
            gc.callbacks.remove(self._collect)
            asyncio.Handle._run = run  # noqa: SLF001 - likewise

    async def tick_forever(self) -> None:
        """Measure how late a timer of this loop is at most: the longest pass."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.001
            await asyncio.sleep(0.001)
            self.late_s = max(self.late_s, clock() - due)

    def _look(self, done: threading.Event) -> None:
        while not done.wait(LOOK_S):
            started = self._started
            if started is not None and time.perf_counter() - started > LOOK_S:
                frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - what a sampling profiler uses
                self._seen[_place(frame)] += 1

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            spent = time.perf_counter() - self._collecting
            self.collections_s += spent
            self.collection_s = max(self.collection_s, spent)


def _name(handle: asyncio.Handle) -> str:
    """Return the name of what a callback steps: of a task, its coroutine's."""
    callback = handle._callback  # noqa: SLF001 - there is no other way to it
    of = getattr(callback, "__self__", None)
    if isinstance(of, asyncio.Task):
        # anyio names its tasks after what they run; asyncio numbers them
        name = of.get_name()
        return str(getattr(of.get_coro(), "__qualname__", of)) if name.startswith("Task-") else name
    return str(getattr(callback, "__qualname__", callback))


def _place(frame: FrameType | None) -> str:
    """Return the innermost functions of the project's own in a stack, the inner one last."""
    names: list[str] = []
    while frame is not None and len(names) < 2:
        if "/skep" in frame.f_code.co_filename:
            names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(names)) or "elsewhere"
