"""How an engine ends: nobody waits for ever, and only what is true is kept."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import skep
from skep.core import fold
from skep.core.codec import decode_record
from skep.core.commands import LeaveSwarm
from skep.core.events import Event, ServiceCreated
from skep.core.record import Actor
from skep.core.rejected import Broken
from skep.core.state import ClusterState
from skep.model.ids import START, Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import Claim, LogError, LogFull
from skep.runtime import turn
from skep.runtime.memory import AppendFault, MemoryCheckpoints, MemoryEventLog, MemoryStorage, MemoryStore
from skep.testing.engine_test import engine_test


async def test_a_state_that_cannot_be_saved_at_the_end_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: MemoryCheckpoints, _checkpoint: Checkpoint) -> None:
        raise LogFull("no room for a checkpoint")

    monkeypatch.setattr(MemoryCheckpoints, "save", full)
    with anyio.fail_after(60):
        async with engine_test():
            await anyio.sleep(1)


async def test_a_store_that_cannot_be_closed_is_told_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: MemoryStore) -> None:
        raise LogError("cannot be closed")

    async def run() -> None:
        async with skep.Cluster.open():
            monkeypatch.setattr(MemoryStore, "aclose", fail)

    began = anyio.current_time()
    with pytest.raises(skep.EngineFailed, match="cannot be closed"):
        await asyncio.wait_for(run(), 60)
    assert anyio.current_time() - began < 5


async def test_a_reader_is_told_when_the_log_cannot_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(_: MemoryEventLog) -> Claim:
        raise LogError("cannot open: I/O error")

    storage = MemoryStorage(append_s=0.5)
    reading: list[asyncio.Task[int]] = []

    async def run() -> None:
        async with engine_test(storage=storage) as cluster:
            await anyio.sleep(30)
            storage.log.fail_next(AppendFault.UNKNOWN_LOST)
            monkeypatch.setattr(MemoryEventLog, "claim", claim)
            writer = cluster.engine.writer

            async def read() -> int:
                await asyncio.sleep(0.1)
                return await writer.read(lambda state: len(state.services))

            reading.append(asyncio.create_task(read()))
            await cluster.services.create(skep.service_spec("web", "demo"))

    with pytest.raises((skep.EngineFailed, skep.OutcomeUnknown)):
        await run()
    with pytest.raises(skep.Unavailable):
        await asyncio.wait_for(reading[0], 60)


async def test_a_state_that_was_half_folded_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rules: dict[type[Event], Callable[[ClusterState, Any], None]] = dict(fold.EVOLVE)

    def half(state: ClusterState, event: Event) -> None:
        fold_it(state, event)
        raise KeyError("a bug")

    fold_it, rules[ServiceCreated] = rules[ServiceCreated], half
    storage = MemoryStorage()

    async def run() -> None:
        async with skep.Cluster.open(storage=storage) as cluster:
            await anyio.sleep(30)
            monkeypatch.setattr(fold, "EVOLVE", rules)
            with pytest.raises(skep.OutcomeUnknown):
                await cluster.services.create(skep.service_spec("ghost", "demo"))
            await anyio.sleep(30)

    with pytest.raises(BaseException, match="a bug"):
        await run()
    monkeypatch.undo()
    store = await storage.latest()
    assert store is not None
    assert await store.checkpoints.positions() == []
    async with engine_test(storage=storage) as cluster:
        assert await cluster.services.list() == []
        assert cluster.engine.writer.durable > Position(0)


async def test_nothing_follows_in_a_log_after_its_swarm_was_left() -> None:
    storage = MemoryStorage(append_s=0.5)
    async with engine_test(storage=storage) as cluster:
        await anyio.sleep(30)

        async def create_late() -> str:
            await asyncio.sleep(0.1)
            return await cluster.services.create(skep.service_spec("late", "demo"))

        early, _, late = await asyncio.gather(
            cluster.services.create(skep.service_spec("early", "demo", replicas=5)),
            cluster.swarm.leave(force=True),
            create_late(),
            return_exceptions=True,
        )
        assert isinstance(early, str)
        assert isinstance(late, skep.NoSwarm)
        assert not cluster.active
    records = await storage.log.read(START, limit=1000)
    assert [event.name for event in decode_record(records[-1].body).events] == ["swarm.left/1"]


async def test_an_engine_whose_swarm_was_left_makes_no_plans_and_takes_no_commands() -> None:
    async with engine_test() as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=5))
        writer = cluster.engine.writer
        at = await writer.submit(LeaveSwarm(), actor=Actor("person"))
        with pytest.raises(skep.NoSwarm):
            await cluster.services.create(skep.service_spec("ghost", "demo"))
        await anyio.sleep(60)
        assert writer.durable == at


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.4])
async def test_who_stops_waiting_for_a_swarm_to_be_left_leaves_no_engine(after_s: float) -> None:
    async with engine_test(storage=MemoryStorage(append_s=0.5)) as cluster:
        await anyio.sleep(30)
        leaving = asyncio.create_task(cluster.swarm.leave(force=True))
        await asyncio.sleep(0)
        await anyio.sleep(after_s)
        leaving.cancel()
        await anyio.sleep(5)
        assert leaving.cancelled()
        assert not cluster.active
        await cluster.swarm.init()
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")


async def test_a_record_that_is_too_large_ends_the_engine_with_the_name_of_its_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async with skep.Cluster.open() as cluster:
            await anyio.sleep(30)
            monkeypatch.setattr(turn, "RECORD_BYTES_MAX", 2000)
            await cluster.services.create(skep.service_spec("web", "demo", replicas=100))
            await anyio.sleep(30)

    with pytest.raises(skep.EngineFailed, match=r"plan replicas\(.*\) at .* makes a record of .* bytes") as failed:
        await run()
    assert isinstance(failed.value.__cause__, Broken)
