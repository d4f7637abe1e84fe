"""Virtual time: an hour takes no time, a deadlock is an error; ids and clocks repeat themselves."""

import asyncio
import re
import time

import anyio
import pytest
from skep.model.ids import NANOSECONDS
from skep.testing.sources import BEGINNING, ManualClock, NumberedIds, SeededIds
from skep.testing.virtual import Deadlock, VirtualClock, run_virtual


def test_an_hour_takes_no_time_and_is_an_hour() -> None:
    async def main() -> int:
        clock = VirtualClock()
        before = clock.now()
        await anyio.sleep(3600)
        return clock.now() - before

    began = time.monotonic()
    assert run_virtual(main()) == 3600 * NANOSECONDS
    assert time.monotonic() - began < 1


def test_what_is_due_earlier_happens_earlier() -> None:
    async def main() -> list[int]:
        done: list[int] = []

        async def wait(seconds: int) -> None:
            await asyncio.sleep(seconds)
            done.append(seconds)

        await asyncio.gather(*map(wait, (5, 1, 3600, 60)))
        return done

    assert run_virtual(main()) == [1, 5, 60, 3600]


def test_waiting_for_nothing_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(main())


def test_the_clock_can_be_made_to_jump() -> None:
    async def main() -> None:
        clock = VirtualClock()
        clock.offset_ns = -5
        assert clock.now() == BEGINNING - 5

    run_virtual(main())


def test_seeded_ids_repeat_themselves_and_look_like_swarms() -> None:
    one, same, other = SeededIds(1), SeededIds(1), SeededIds(2)
    drawn = [one.new() for _ in range(100)]
    assert drawn == [same.new() for _ in range(100)]
    assert len({*drawn, *(other.new() for _ in range(100))}) == 200
    assert all(re.fullmatch("[0-9a-z]{25}", each) for each in drawn)


def test_numbered_ids_are_in_order() -> None:
    ids = NumberedIds("web")
    assert [ids.new(), ids.new()] == ["web" + "1".rjust(22, "0"), "web" + "2".rjust(22, "0")]


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock()
    assert clock.now() == clock.now() == BEGINNING
    clock.advance(1.5)
    assert clock.now() == BEGINNING + 1_500_000_000
