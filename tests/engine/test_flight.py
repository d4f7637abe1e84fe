"""Time that flies: in order, past nothing, and never faster than what comes in."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from skep.testing.flight import FlyingLoop

T = TypeVar("T")


def run(main: Callable[[FlyingLoop], Awaitable[T]]) -> T:
    loop = FlyingLoop()

    async def call() -> T:
        return await main(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(call())


def test_a_day_that_flies_by_takes_no_time() -> None:
    async def main(loop: FlyingLoop) -> float:
        began = loop.time()
        with loop.flying():
            await asyncio.sleep(86_400)
        return loop.time() - began

    began = time.monotonic()
    assert run(main) >= 86_400
    assert time.monotonic() - began < 60


def test_timers_that_fly_by_go_off_in_order() -> None:
    async def main(loop: FlyingLoop) -> list[int]:
        seen: list[int] = []
        for delay in (3, 1, 2):
            loop.call_later(delay * 100, seen.append, delay)
        with loop.flying():
            await asyncio.sleep(1000)
        return seen

    assert run(main) == [1, 2, 3]


def test_time_goes_as_usual_after_a_flight() -> None:
    async def main(loop: FlyingLoop) -> float:
        with loop.flying():
            await asyncio.sleep(1000)
        began = time.monotonic()
        await asyncio.sleep(0.05)
        return time.monotonic() - began

    assert run(main) >= 0.045


def test_time_flies_no_further_than_it_may() -> None:
    async def main(loop: FlyingLoop) -> float:
        began, ends = time.monotonic(), loop.time() + 100
        loop.may_fly_s = lambda: max(0.0, ends - loop.time())
        await asyncio.sleep(100.1)
        return time.monotonic() - began

    assert 0.05 < run(main) < 60


def test_what_comes_in_is_read_before_time_flies_on() -> None:
    async def main(loop: FlyingLoop) -> bytes:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.sendall(b"now")
        try:
            with loop.flying():
                async with asyncio.timeout(3600):
                    return await reader.readexactly(3)
        finally:
            theirs.close()
            writer.close()
            await writer.wait_closed()

    assert run(main) == b"now"
