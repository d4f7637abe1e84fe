"""The contract of `LineStore`, as tests that every implementation passes; used as `skep.testing.log_suite` is."""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101, PLR2004

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.model.ids import Instant, TaskId
from skep.ports.lines import Line, LineStore, Stream, dropped

TASK, OTHER = TaskId("task"), TaskId("other")


def lines(count: int, *, start: int = 1, size: int = 10) -> list[Line]:
    """Return `count` lines of `size` bytes that differ, by turns of either stream."""
    streams = (Stream.STDOUT, Stream.STDERR)
    numbers = range(start, start + count)
    return [Line(Instant(number), streams[number % 2], b"%*d\n" % (size - 1, number)) for number in numbers]


class LineStoreSuite:
    """What `skep.ports.lines` guarantees."""

    def another(self, *, part_bytes: int = 1_000_000, parts: int = 3) -> LineStore:
        """Return another handle on this test's one store; the first one finds it empty."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self, *, part_bytes: int = 1_000_000, parts: int = 3) -> AsyncIterator[LineStore]:
        """Open a handle for the length of the block."""
        store = self.another(part_bytes=part_bytes, parts=parts)
        try:
            yield store
        finally:
            await store.aclose()

    async def test_a_task_that_printed_nothing_has_no_lines(self) -> None:
        """Asked in any way."""
        async with self.opened() as store:
            await store.append(TASK, [])
            assert list(await store.read(TASK)) == []
            assert await store.last(TASK) == 0
            assert await store.tail(TASK, 5) == 0
            assert list(await store.task_ids()) == []
            await store.remove(TASK)

    async def test_lines_come_back_numbered_in_order(self) -> None:
        """However they were batched, and after reopening."""
        async with self.opened() as store:
            for start, count in ((1, 1), (2, 700), (702, 3)):
                await store.append(TASK, lines(count, start=start))
        async with self.opened() as store:
            await store.append(TASK, lines(2, start=705))
            assert list(await store.read(TASK)) == list(enumerate(lines(706), 1))
            assert await store.last(TASK) == 706

    async def test_a_read_gives_at_most_its_limit_from_where_it_was_asked(self) -> None:
        """From within a batch too."""
        async with self.opened() as store:
            await store.append(TASK, lines(600))
            await store.append(TASK, lines(600, start=601))
            for after, limit, found in (
                (0, 2, [1, 2]),
                (299, 2, [300, 301]),
                (599, 3, [600, 601, 602]),
                (1199, 9, [1200]),
                (1200, 9, []),
                (9999, 9, []),
                (5, 0, []),
            ):
                assert [number for number, _ in await store.read(TASK, after=after, limit=limit)] == found

    async def test_a_tail_is_exactly_that_many_lines(self) -> None:
        """Or all, if there are fewer."""
        async with self.opened() as store:
            for start in range(1, 1001, 10):
                await store.append(TASK, lines(10, start=start))
            for count in (0, 1, 9, 10, 11, 700, 999, 1000, 1001, 5000):
                after = await store.tail(TASK, count)
                assert len(await store.read(TASK, after=after, limit=9999)) == min(count, 1000)

    async def test_tasks_do_not_mix(self) -> None:
        """Nor does forgetting one touch another."""
        async with self.opened() as store:
            await store.append(TASK, lines(3))
            await store.append(OTHER, lines(2, start=9))
            await store.append(TASK, lines(1, start=4))
            assert list(await store.task_ids()) == [OTHER, TASK]
            await store.remove(TASK)
            await store.remove(TASK)
            assert list(await store.read(TASK)) == []
            assert list(await store.read(OTHER)) == list(enumerate(lines(2, start=9), 1))
            assert list(await store.task_ids()) == [OTHER]

    async def test_past_the_bound_the_oldest_part_goes_and_a_line_says_so(self) -> None:
        """Numbers go on; the line has the number of the last one dropped."""
        async with self.opened(part_bytes=100, parts=3) as store:
            await store.append(TASK, lines(30))
            assert await store.tail(TASK, 99) == 0
            await store.append(TASK, lines(1, start=31))
            kept = list(await store.read(TASK))
            assert kept == [(10, dropped(10, 100, at=Instant(10))), *list(enumerate(lines(31), 1))[10:]]
            await store.append(TASK, lines(25, start=32))
            kept = list(await store.read(TASK))
            assert kept == [(30, dropped(30, 300, at=Instant(30))), *list(enumerate(lines(56), 1))[30:]]
            assert await store.tail(TASK, 27) == 0
            assert await store.tail(TASK, 26) == 30
            assert await store.last(TASK) == 56

    async def test_the_bound_holds_after_reopening_and_for_batches_larger_than_it(self) -> None:
        """Every line counts where it falls."""
        async with self.opened(part_bytes=100, parts=3) as store:
            await store.append(TASK, lines(25))
        async with self.opened(part_bytes=100, parts=3) as store:
            await store.append(TASK, lines(100, start=26))
            kept = list(await store.read(TASK))
            assert kept == [(100, dropped(100, 1000, at=Instant(100))), *list(enumerate(lines(125), 1))[100:]]

    async def test_a_removed_task_begins_anew(self) -> None:
        """Nothing is said of what was dropped before."""
        async with self.opened(part_bytes=100, parts=2) as store:
            await store.append(TASK, lines(50))
            await store.remove(TASK)
            await store.append(TASK, lines(21))
            assert (await store.read(TASK))[0] == (10, dropped(10, 100, at=Instant(10)))

    async def test_closing_twice_is_closing_once(self) -> None:
        """Even if never used."""
        store = self.another()
        await store.aclose()
        await store.aclose()
