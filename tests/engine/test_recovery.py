"""Recovery: a checkpoint saves time, and is never believed against the log."""

from collections.abc import Callable

import anyio
import pytest
import skep
from skep.core.codec import encode_state
from skep.core.fold import FOLD_VERSION
from skep.model.ids import START, Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import Head, LogError
from skep.runtime import engine as engine_module
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryCheckpoints, MemoryStorage, MemoryStore
from skep.runtime.recovery import recover_since, state_at
from skep.testing.engine_test import assert_whole
from skep.testing.virtual import VirtualClock


async def with_services(storage: MemoryStorage, *names: str, leave: Callable[[Cluster], object] | None = None) -> None:
    """Run an engine over `storage`, create services, and stop it; `leave` looks at it before."""
    async with Cluster.open(storage=storage, clock=VirtualClock()) as cluster:
        for name in names:
            await cluster.services.create(skep.service_spec(name, "demo", replicas=0))
        await anyio.sleep(1)
        if leave is not None:
            leave(cluster)


def crash(storage: MemoryStorage) -> MemoryStorage:
    """Return what is on the imagined disk now, checkpoints included."""
    crashed = storage.crash()
    kept = crashed._kept[-1]
    checkpoints = MemoryCheckpoints()
    checkpoints._kept = dict(kept.checkpoints._kept)
    kept._checkpoints = checkpoints
    return crashed


async def put_back() -> MemoryStorage:
    """Return a storage whose log is a backup that was put back and went on, beside checkpoints of what came instead."""
    storage = MemoryStorage()
    backups: list[MemoryStorage] = []
    await with_services(storage, "a", leave=lambda _: backups.append(storage.crash()))
    await with_services(storage, "b", "c")
    crashed: list[MemoryStorage] = []
    others = [f"x{number}" for number in range(12)]
    await with_services(backups[0], *others, leave=lambda _: crashed.append(crash(backups[0])))
    return crashed[0]


async def test_a_checkpoint_of_another_history_is_not_used() -> None:
    async with Cluster.open(storage=await put_back(), clock=VirtualClock()) as cluster:
        await assert_whole(cluster)
        names = {service.spec.name for service in await cluster.services.list()}
        assert names == {"a", *(f"x{number}" for number in range(12))}


async def keep(store: MemoryStore, position: int, digest: bytes | None = None) -> None:
    """Keep a checkpoint at `position`, as if the chain had `digest` there."""
    state = await state_at(store.log, None, Position(position))
    body = encode_state(state)
    real = store.log._records.heads[position].digest
    await store.checkpoints.save(Checkpoint(Position(position), digest or real, FOLD_VERSION, body))


@pytest.mark.parametrize("other", [7, "head"])
async def test_the_newest_checkpoint_of_its_own_history_is_used(other: int | str) -> None:
    storage = MemoryStorage()
    await with_services(storage, *(f"s{number}" for number in range(8)))
    store = await storage.crash().latest()
    assert store is not None
    head = await store.log.head()
    store._checkpoints = MemoryCheckpoints()
    await keep(store, 5)
    await keep(store, head.position if other == "head" else 7, b"x" * 32)
    _, state, since = await recover_since(store)
    assert since == 5
    assert encode_state(state) == encode_state(await state_at(store.log, None, head.position))


async def test_without_a_checkpoint_of_its_own_history_the_log_is_folded_from_its_start() -> None:
    store = await (await put_back()).latest()
    assert store is not None
    of_the_backup, of_what_came_instead = await store.checkpoints.positions()
    assert (await recover_since(store))[2] == of_the_backup
    del store.checkpoints._kept[of_the_backup]
    assert await store.checkpoints.positions() == [of_what_came_instead]
    _, _, since = await recover_since(store)
    assert since == START


async def test_a_log_that_does_not_lead_to_the_digest_asked_for_is_refused() -> None:
    storage = MemoryStorage()
    await with_services(storage, "a")
    store = await storage.latest()
    assert store is not None
    head = await store.log.head()
    with pytest.raises(LogError, match="not those that were written"):
        await state_at(store.log, store.checkpoints, head.position, b"x" * 32)


async def test_a_series_of_crashes_still_makes_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Position] = []

    async def make(_: MemoryStore, head: Head) -> None:
        made.append(head.position)

    monkeypatch.setattr(MemoryStore, "make_checkpoint", make)
    monkeypatch.setattr(engine_module, "CHECKPOINT_RECORDS", 30)
    storage = MemoryStorage()
    for life in range(10):
        lives = [storage]
        crash = lives.append
        names = [f"life{life}-{number}" for number in range(5)]
        await with_services(storage, *names, leave=lambda _, crash=crash, now=storage: crash(now.crash()))  # type: ignore[misc]  # bound by default
        storage = lives[-1]
        store = await storage.latest()
        assert store is not None
        store.checkpoints._kept.clear()  # a crash leaves none
    assert made
