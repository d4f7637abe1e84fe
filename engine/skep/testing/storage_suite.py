"""The contract of `Storage`, as tests that every implementation passes; used as `skep.testing.log_suite` is."""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101, PLR2004

from skep.model.ids import Position
from skep.ports.event_log import Claim, Head, LogDamaged
from skep.ports.storage import Storage, Store
from skep.testing.expectation import raising
from skep.testing.log_suite import BEFORE, bodies


async def begun(storage: Storage, *, records: int) -> tuple[Store, Claim, Head]:
    """Begin a swarm of so many records."""
    store = await storage.begin()
    claim = await store.log.claim()
    return store, claim, await store.log.append(bodies(records), expected=BEFORE, epoch=claim.epoch)


class StorageSuite:
    """What `skep.ports.storage` guarantees."""

    def another(self) -> Storage:
        """Return another handle on this test's one storage; the first one finds it empty."""
        raise NotImplementedError

    async def test_a_new_storage_has_no_swarm(self) -> None:
        """Until one is begun."""
        storage = self.another()
        assert await storage.latest() is None
        await (await storage.begin()).aclose()
        latest = await storage.latest()
        assert latest is not None
        assert (await latest.log.claim()).head.position == 0
        await latest.aclose()

    async def test_the_latest_is_what_was_begun_last(self) -> None:
        """With its log, its keys and its checkpoints."""
        storage = self.another()
        for records in (3, 5):
            store, _, _ = await begun(storage, records=records)
            assert await store.keyring.key_ids() == []
            assert await store.checkpoints.positions() == []
            await store.keyring.create(f"key {records}")
            await store.aclose()
        latest = await self.another().latest()
        assert latest is not None
        assert (await latest.log.head()).position == 5
        assert await latest.keyring.key_ids() == ["key 5"]
        await latest.aclose()
        await latest.aclose()

    async def test_a_store_left_open_by_a_crashed_engine_can_be_opened_again(self) -> None:
        """In the same process; the new one is the writer."""
        storage = self.another()
        crashed, older, end = await begun(storage, records=3)
        latest = await storage.latest()
        assert latest is not None
        claim = await latest.log.claim()
        assert claim.epoch > older.epoch
        await crashed.aclose()
        await latest.log.append(bodies(1), expected=end.position, epoch=claim.epoch)
        await latest.aclose()

    async def test_a_log_that_reached_its_anchor_is_whole(self) -> None:
        """At it, or past it; an older anchor does not replace a newer one."""
        storage = self.another()
        store, claim, end = await begun(storage, records=3)
        await store.anchor(end)
        further = await store.log.append(bodies(2), expected=end.position, epoch=claim.epoch)
        assert (await store.log.claim()).head == further
        await store.anchor(further)
        await store.anchor(Head(Position(1), b"x" * 32))
        assert (await store.log.claim()).head == further
        await store.aclose()

    async def test_a_log_that_did_not_reach_its_anchor_is_damaged(self) -> None:
        """`position` is where it ends."""
        storage = self.another()
        store, _, end = await begun(storage, records=3)
        await store.anchor(Head(Position(end.position + 1), b"x" * 32))
        with raising(LogDamaged) as caught:
            await store.log.claim()
        assert isinstance(caught.error, LogDamaged)
        assert caught.error.position == 3
        await store.aclose()

    async def test_a_log_of_another_history_than_its_anchor_is_damaged(self) -> None:
        """The digest tells."""
        storage = self.another()
        store, _, end = await begun(storage, records=3)
        await store.anchor(Head(end.position, b"x" * 32))
        with raising(LogDamaged):
            await store.log.claim()
        await store.aclose()
