"""A swarm that locks: what is kept is of no use without the unlock key, which is kept nowhere."""

import re

import pytest
import skep
from msgspec.structs import replace
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.model.ids import START
from skep.model.swarm import DEFAULT_SWARM_SPEC, EncryptionConfig, SwarmSpec
from skep.ports.keyring import KeyringError
from skep.runtime.authority import new_unlock_key, parse_unlock_key
from skep.runtime.cluster import Cluster
from skep.runtime.errors import (
    AlreadyInSwarm,
    LockedLeave,
    MalformedUnlockKey,
    NoSwarm,
    NotLocked,
    SwarmLocked,
    UnlockRefused,
)
from skep.runtime.memory import MemoryStorage

LOCKING = replace(DEFAULT_SWARM_SPEC, encryption_config=EncryptionConfig(auto_lock_managers=True))
OTHER = "SWMKEY-1-" + "A" * 43


async def locked_storage() -> tuple[MemoryStorage, str]:
    """Return a storage with a locked swarm of one service, and its unlock key."""
    storage = MemoryStorage()
    async with Cluster.open(storage=storage, init=False) as cluster:
        await cluster.swarm.init(LOCKING)
        await cluster.services.create(skep.service_spec("web", "demo", replicas=1))
        key = await cluster.swarm.unlock_key()
    return storage, key


async def change(cluster: Cluster, spec: SwarmSpec, *, rotate: bool = False) -> None:
    version = (await cluster.swarm.inspect()).version
    await cluster.swarm.update(version, spec, rotate_unlock_key=rotate)


def test_an_unlock_key_is_read_as_it_is_written() -> None:
    assert parse_unlock_key(new_unlock_key(draw=bytes)) == bytes(32)
    assert parse_unlock_key(OTHER) == bytes(32)
    for text in ("", "bogus", "SWMKEY-2-AAAA", "SWMKEY-1-A", "SWMKEY-1-AA==", "SWMKEY-1-" + "A" * 400, "SWMKEY-1-ä"):
        with pytest.raises(MalformedUnlockKey):
            parse_unlock_key(text)


async def test_a_swarm_that_locks_waits_for_its_unlock_key_after_a_start() -> None:
    storage, key = await locked_storage()
    assert re.fullmatch(r"SWMKEY-1-[A-Za-z0-9+/]{43}", key)
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert (cluster.active, cluster.locked) == (False, True)
        for ask in (cluster.swarm.inspect, cluster.swarm.unlock_key, cluster.services.list):
            with pytest.raises(SwarmLocked):
                await ask()
        with pytest.raises(AlreadyInSwarm):
            await cluster.swarm.init()
        with pytest.raises(LockedLeave):
            await cluster.swarm.leave()
        for wrong, why in (("bogus", MalformedUnlockKey), (OTHER, UnlockRefused)):
            with pytest.raises(why):
                await cluster.swarm.unlock(wrong)
            assert cluster.locked

        await cluster.swarm.unlock(key)
        assert (cluster.active, cluster.locked) == (True, False)
        assert await cluster.swarm.unlock_key() == key
        await cluster.converged("web")
        with pytest.raises(NotLocked):
            await cluster.swarm.unlock(key)


async def test_a_start_of_a_swarm_that_locks_no_more_needs_no_key() -> None:
    storage, key = await locked_storage()
    async with Cluster.open(storage=storage, init=False) as cluster:
        await cluster.swarm.unlock(key)
        await change(cluster, DEFAULT_SWARM_SPEC)
        assert await cluster.swarm.unlock_key() == ""
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert cluster.active
        await change(cluster, LOCKING)
        assert await cluster.swarm.unlock_key() not in ("", key)
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert cluster.locked


async def test_a_rotated_unlock_key_is_the_only_one() -> None:
    storage, old = await locked_storage()
    async with Cluster.open(storage=storage, init=False) as cluster:
        await cluster.swarm.unlock(old)
        await change(cluster, LOCKING)
        assert await cluster.swarm.unlock_key() == old
        await change(cluster, LOCKING, rotate=True)
        new = await cluster.swarm.unlock_key()
    async with Cluster.open(storage=storage, init=False) as cluster:
        with pytest.raises(UnlockRefused):
            await cluster.swarm.unlock(old)
        await cluster.swarm.unlock(new)


async def test_an_update_that_is_refused_leaves_the_lock_as_it_was() -> None:
    storage = MemoryStorage()
    async with Cluster.open(storage=storage) as cluster:
        with pytest.raises(Rejected):
            await cluster.swarm.update(999, LOCKING)
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert cluster.active


async def test_a_crash_between_the_log_and_the_lock_is_mended_at_the_next_start() -> None:
    storage, key = await locked_storage()
    async with Cluster.open(storage=storage, init=False) as cluster:
        await cluster.swarm.unlock(key)
        await cluster.engine.store.keyring.lock_with(None)  # as if it had never been locked
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert cluster.active
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert cluster.locked
        await cluster.swarm.unlock(key)


async def test_a_locked_swarm_is_left_by_force_and_another_one_begun() -> None:
    storage, key = await locked_storage()
    async with Cluster.open(storage=storage, init=False) as cluster:
        await cluster.swarm.leave(force=True, actor=Actor("person", "me"))
        assert (cluster.active, cluster.locked) == (False, False)
        with pytest.raises(NoSwarm):
            await cluster.swarm.unlock(key)
        with pytest.raises(NoSwarm):
            await cluster.swarm.leave(force=True)
    async with Cluster.open(storage=storage, init=False) as cluster:
        assert not cluster.locked
        await cluster.swarm.init()
        assert await cluster.services.list() == []


async def test_the_unlock_key_is_in_no_record_in_plain() -> None:
    storage, key = await locked_storage()
    bodies = b"".join(record.body for record in await storage.log.read(START, limit=1000))
    assert key.encode() not in bodies
    assert parse_unlock_key(key) not in bodies
    store = await storage.latest()
    assert store is not None
    with pytest.raises(KeyringError):
        await store.keyring.key_ids()
