"""The contract of `EventLog`, as tests that every implementation passes.

Inherit from `EventLogSuite` in a test module under a name that the runner collects, and say how a log is opened. The
tests need nothing but an asyncio loop.
"""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101, PLR2004

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.model.ids import Position
from skep.ports.event_log import GENESIS, RECORD_BYTES_MAX, Conflict, Epoch, EventLog, Head, chained
from skep.testing.expectation import raising

#: Longer than any wait that an implementation has between a commit and its followers.
SOON_S = 20.0

#: More than fits in one statement of any implementation.
MANY = 25_000

BEFORE = Position(0)


def bodies(count: int, *, start: int = 1) -> list[bytes]:
    """Return `count` records that differ."""
    return [b'{"n":%d}' % number for number in range(start, start + count)]


class EventLogSuite:
    """What `skep.ports.event_log` guarantees."""

    def another(self) -> EventLog:
        """Return another handle on this test's one log, not yet opened; the first one finds it empty."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EventLog]:
        """Open a handle for the length of the block."""
        log = self.another()
        try:
            yield log
        finally:
            await log.aclose()

    async def test_a_new_log_ends_before_everything(self) -> None:
        """Claimed or not."""
        async with self.opened() as log:
            assert await log.head() == Head(BEFORE, GENESIS)
            assert list(await log.read(BEFORE, limit=10)) == []
            claim = await log.claim()
            assert (claim.head, claim.dropped) == (Head(BEFORE, GENESIS), "")

    async def test_positions_are_dense_and_start_at_one(self) -> None:
        """Whatever the groups."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            end = await log.append(bodies(1), expected=BEFORE, epoch=epoch)
            end = await log.append(bodies(3, start=2), expected=end.position, epoch=epoch)
            records = await log.read(BEFORE, limit=10)
            assert [record.position for record in records] == [1, 2, 3, 4]
            assert [record.body for record in records] == bodies(4)
            assert end == await log.head()

    async def test_records_are_chained(self) -> None:
        """The digest is the same for every implementation."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            digest = GENESIS
            for body in bodies(5):
                digest = chained(digest, body)
            assert (await log.append(bodies(5), expected=BEFORE, epoch=epoch)).digest == digest

    async def test_what_was_appended_is_there_after_reopening(self) -> None:
        """And so is its end."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            end = await log.append(bodies(7), expected=BEFORE, epoch=epoch)
        async with self.opened() as log:
            assert (await log.claim()).head == end
            assert [record.body for record in await log.read(BEFORE, limit=10)] == bodies(7)

    async def test_an_append_at_another_end_is_a_conflict_and_changes_nothing(self) -> None:
        """Behind the end, or past it."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            end = await log.append(bodies(3), expected=BEFORE, epoch=epoch)
            for expected in (0, 2, 4):
                with raising(Conflict):
                    await log.append(bodies(1), expected=Position(expected), epoch=epoch)
            assert await log.head() == end
            assert (await log.append(bodies(1), expected=end.position, epoch=epoch)).position == end.position + 1

    async def test_without_a_claim_nothing_is_appended(self) -> None:
        """Not under a guessed epoch either."""
        async with self.opened() as log:
            for epoch in (0, 1, 2):
                with raising(Conflict):
                    await log.append(bodies(1), expected=BEFORE, epoch=Epoch(epoch))
            assert (await log.head()).position == 0

    async def test_whoever_claims_last_is_the_writer(self) -> None:
        """The one before can still read, and claim again."""
        async with self.opened() as first, self.opened() as second:
            older = await first.claim()
            end = await first.append(bodies(2), expected=BEFORE, epoch=older.epoch)
            newer = await second.claim()
            assert newer.epoch > older.epoch
            assert newer.head == end
            with raising(Conflict):
                await first.append(bodies(1), expected=end.position, epoch=older.epoch)
            end = await second.append(bodies(2, start=3), expected=end.position, epoch=newer.epoch)
            assert [record.body for record in await first.read(BEFORE, limit=10)] == bodies(4)
            again = await first.claim()
            assert again.head == end
            with raising(Conflict):
                await second.append(bodies(1), expected=end.position, epoch=newer.epoch)
            await first.append(bodies(1), expected=end.position, epoch=again.epoch)

    async def test_a_second_claim_ends_the_first_on_the_same_handle(self) -> None:
        """The epoch tells them apart."""
        async with self.opened() as log:
            older = await log.claim()
            newer = await log.claim()
            with raising(Conflict):
                await log.append(bodies(1), expected=BEFORE, epoch=older.epoch)
            await log.append(bodies(1), expected=BEFORE, epoch=newer.epoch)

    async def test_a_record_that_cannot_be_stored_is_refused_with_its_group(self) -> None:
        """And the log goes on."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            with raising(ValueError) as caught:
                await log.append([b"1", b"x" * (RECORD_BYTES_MAX + 1)], expected=BEFORE, epoch=epoch)
            assert str(RECORD_BYTES_MAX + 1) in str(caught)
            for unfit in ([], [b"1", b"\xff"]):
                with raising(ValueError):
                    await log.append(unfit, expected=BEFORE, epoch=epoch)
            largest = b"x" * RECORD_BYTES_MAX
            await log.append([largest], expected=BEFORE, epoch=epoch)
            assert [record.body for record in await log.read(BEFORE, limit=2)] == [largest]

    async def test_any_text_comes_back_as_it_was(self) -> None:
        """Byte by byte: the chain runs over them."""
        texts = [" {} ", "", "null", "'; DROP TABLE log; --", "\0nul", "1e400", "\U0001f41d\u2028\u00e9", "\r\n"]
        written = [text.encode() for text in texts]
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            await log.append(written, expected=BEFORE, epoch=epoch)
            assert [record.body for record in await log.read(BEFORE, limit=10)] == written

    async def test_a_group_of_any_size_is_one_append(self) -> None:
        """All of it, and chained."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            end = await log.append(bodies(MANY), expected=BEFORE, epoch=epoch)
            assert end.position == MANY
            assert [record.body for record in await log.read(BEFORE, limit=MANY + 1)] == bodies(MANY)
            assert (await log.append(bodies(1), expected=end.position, epoch=epoch)).position == MANY + 1

    async def test_a_read_gives_at_most_its_limit_from_where_it_was_asked(self) -> None:
        """Past the end there is nothing yet."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            await log.append(bodies(10), expected=BEFORE, epoch=epoch)
            for after, limit, found in (
                (0, 3, [1, 2, 3]),
                (4, 3, [5, 6, 7]),
                (8, 3, [9, 10]),
                (10, 3, []),
                (99, 1, []),
            ):
                records = await log.read(Position(after), limit=limit)
                assert [record.position for record in records] == found

    async def test_a_follower_gets_what_is_there_and_then_what_comes(self) -> None:
        """Through the writer's handle and through another."""
        async with self.opened() as log, self.opened() as reader:
            epoch = (await log.claim()).epoch
            end = await log.append(bodies(3), expected=BEFORE, epoch=epoch)
            for handle in (log, reader):
                follower = handle.follow(Position(end.position - 2))
                assert [(await anext(follower)).position for _ in range(2)] == [end.position - 1, end.position]
                waiting = asyncio.ensure_future(anext(follower))
                await asyncio.sleep(0)
                assert not waiting.done()
                end = await log.append(bodies(2), expected=end.position, epoch=epoch)
                assert (await asyncio.wait_for(waiting, SOON_S)).position == end.position - 1
                assert (await asyncio.wait_for(anext(follower), SOON_S)).position == end.position

    async def test_a_follower_outlives_a_new_claim(self) -> None:
        """Reading has nothing to do with who writes."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            follower = log.follow(BEFORE)
            waiting = asyncio.ensure_future(anext(follower))
            await asyncio.sleep(0)
            epoch = (await log.claim()).epoch
            await log.append(bodies(1), expected=BEFORE, epoch=epoch)
            assert (await asyncio.wait_for(waiting, SOON_S)).position == 1

    async def test_a_cancelled_append_leaves_a_log_that_can_be_claimed_again(self) -> None:
        """Its records are all there or all not."""
        for count in (3, MANY):
            async with self.opened() as log:
                claim = await log.claim()
                start = claim.head.position
                append = asyncio.ensure_future(log.append(bodies(count), expected=start, epoch=claim.epoch))
                await asyncio.sleep(0.001)
                append.cancel()
                await asyncio.gather(append, return_exceptions=True)
                claim = await log.claim()
                assert claim.head.position in {start, start + count}
                assert claim.head == await log.head()
                await log.append(bodies(1), expected=claim.head.position, epoch=claim.epoch)

    async def test_of_appends_at_once_one_wins(self) -> None:
        """The others changed nothing."""
        async with self.opened() as log:
            epoch = (await log.claim()).epoch
            appends = [log.append(bodies(2), expected=BEFORE, epoch=epoch) for _ in range(4)]
            outcomes = await asyncio.gather(*appends, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Head)] == [Conflict] * 3
            assert (await log.head()).position == 2

    async def test_closing_twice_is_closing_once_and_gives_up_the_claim(self) -> None:
        """What it had claimed is over."""
        log = self.another()
        epoch = (await log.claim()).epoch
        await log.append(bodies(1), expected=BEFORE, epoch=epoch)
        await log.aclose()
        await log.aclose()
        with raising(Conflict):
            await log.append(bodies(1), expected=Position(1), epoch=epoch)
