"""The contract of `Checkpoints`, as tests that every implementation passes; used as `skep.testing.log_suite` is."""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101

from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint, Checkpoints

DIGEST_BYTES = 32


def checkpoint(position: int, *, fold_version: str = "1", body: bytes = b"state") -> Checkpoint:
    """Return a checkpoint; digest and body are its position's."""
    return Checkpoint(Position(position), bytes([position]) * DIGEST_BYTES, fold_version, body * position)


class CheckpointsSuite:
    """What `skep.ports.checkpoints` guarantees."""

    def another(self) -> Checkpoints:
        """Return another handle on this test's one place; the first one finds it empty."""
        raise NotImplementedError

    async def test_a_new_place_has_none(self) -> None:
        """Asked in any way."""
        checkpoints = self.another()
        assert await checkpoints.latest(fold_version="1") is None
        assert await checkpoints.positions() == []
        assert await checkpoints.load(Position(1)) is None

    async def test_what_was_saved_comes_back(self) -> None:
        """Through any handle; an empty body too."""
        for saved in (checkpoint(1), checkpoint(2, body=b""), checkpoint(3, body=bytes(range(256)) * 4096)):
            await self.another().save(saved)
            assert await self.another().latest(fold_version="1") == saved
            assert await self.another().load(saved.position) == saved

    async def test_the_newest_of_the_version_is_found(self) -> None:
        """Whatever the order of saving."""
        checkpoints = self.another()
        await checkpoints.save(checkpoint(9, fold_version="2"))
        await checkpoints.save(checkpoint(7, fold_version="1"))
        assert await checkpoints.latest(fold_version="1") == checkpoint(7, fold_version="1")
        assert await checkpoints.latest(fold_version="2") == checkpoint(9, fold_version="2")
        assert await checkpoints.latest(fold_version="3") is None
        assert await checkpoints.load(Position(9)) == checkpoint(9, fold_version="2")

    async def test_the_newest_stay_and_come_oldest_first(self) -> None:
        """Older ones may go."""
        checkpoints = self.another()
        for position in (1, 2, 10, 30):
            await checkpoints.save(checkpoint(position))
        kept = await checkpoints.positions()
        assert kept == sorted(kept)
        assert kept[-2:] == [10, 30]

    async def test_one_saved_again_is_replaced(self) -> None:
        """By a newer fold, say."""
        checkpoints = self.another()
        await checkpoints.save(checkpoint(4, fold_version="1"))
        await checkpoints.save(checkpoint(4, fold_version="2"))
        assert await checkpoints.positions() == [4]
        assert await checkpoints.latest(fold_version="1") is None
