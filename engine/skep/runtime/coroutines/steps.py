"""Who holds the loop: each step of a task's function, from one `await` that waits to the next, is timed.

All that lives in the loop stands still meanwhile, the engine with its heartbeats among it. What a function starts as
tasks of its own is not seen here.
"""

import time
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from types import coroutine
from typing import Any

#: A step that takes longer is told: asyncio's own bound in its debug mode.
HELD_S = 0.1


@coroutine
def timed(awaited: Awaitable[object], tell: Callable[[float], None]) -> Generator[Any, Any, object]:
    """Await `awaited`; call `tell` with the seconds of each step that took longer than HELD_S."""
    steps = awaited.__await__()
    step: Callable[[], Any] = steps.__next__
    while True:
        began = time.perf_counter()
        try:
            waits_for = step()
        except StopIteration as end:
            return end.value
        finally:
            held_s = time.perf_counter() - began
            if held_s > HELD_S:
                tell(held_s)
        try:
            yield waits_for
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who awaits
            step = partial(steps.throw, error)
        else:
            step = steps.__next__
