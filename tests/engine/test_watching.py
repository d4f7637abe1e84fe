"""Watching: nobody who watches holds up or ends the engine, and whoever waits is told when it ends."""

import asyncio
from collections.abc import Callable

import anyio
import pytest
import skep
from skep.core.commands import CreateService
from skep.core.record import Actor, Record
from skep.model.ids import Instant, ServiceId
from skep.runtime import watching
from skep.runtime.cluster import Cluster
from skep.runtime.simulated import Behaviour
from skep.testing.engine_test import engine_test


async def test_a_watcher_that_lags_is_told_and_the_engine_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LAG_MAX", 5)
    async with engine_test() as cluster:
        changes = cluster.changes()
        first = asyncio.ensure_future(anext(changes))
        await anyio.sleep(1)
        for number in range(12):
            await cluster.services.create(skep.service_spec(f"s{number}", "demo", replicas=0))
        await first
        with pytest.raises(watching.Lagging):
            async for _ in changes:
                pass
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")


@pytest.mark.parametrize("past", [False, True])
async def test_changes_end_when_the_swarm_is_left(past: bool) -> None:
    async with engine_test() as cluster:
        await anyio.sleep(1)
        since = Instant(1) if past else None

        async def follow() -> int:
            return len([change async for change in cluster.changes(since=since)])

        following = asyncio.create_task(follow())
        await anyio.sleep(1)
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")
        await cluster.swarm.leave(force=True)
        assert await asyncio.wait_for(following, 5)


async def test_records_end_with_the_one_that_says_that_the_swarm_was_left() -> None:
    async with engine_test() as cluster:

        async def follow() -> list[Record]:
            return [record async for record in cluster.events()]

        following = asyncio.create_task(follow())
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")
        await cluster.swarm.leave(force=True)
        records = await asyncio.wait_for(following, 5)
        assert [record.position for record in records] == list(range(1, len(records) + 1))
        assert [event.name for event in records[-1].events] == ["swarm.left/1"]


@pytest.mark.parametrize("wait", [Cluster.converged, Cluster.gone])
async def test_who_waits_for_a_service_is_told_that_the_swarm_was_left(wait: Callable[..., object]) -> None:
    async with engine_test(behaviours=Behaviour(pull_s=1000)) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo"))
        waiting = asyncio.ensure_future(wait(cluster, "web"))  # type: ignore[call-overload]  # both are coroutines
        await anyio.sleep(1)
        began = anyio.current_time()
        await cluster.swarm.leave(force=True)
        with pytest.raises(skep.NoSwarm):
            await waiting
        assert anyio.current_time() - began < 5


async def test_a_watcher_of_the_past_lets_others_in_between_records() -> None:
    async with engine_test() as cluster:
        writer = cluster.engine.writer
        names = [f"s{number}" for number in range(50)]
        for name in names:
            command = CreateService(ServiceId(name), skep.service_spec(name, "demo", replicas=0))
            await writer.submit(command, actor=Actor("person"))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        created = 0
        async for change in cluster.changes(since=Instant(1)):
            created += change.action == "create" and change.kind == "service"
            if created == len(names):
                break
        counting.cancel()
        assert turns >= len(names)


async def test_a_removed_service_is_gone_by_its_name_when_its_last_task_is() -> None:
    async with engine_test(behaviours=Behaviour(stop_s=5)) as cluster:
        web = await cluster.services.create(skep.service_spec("web", "demo", replicas=2))
        await cluster.converged("web")
        await cluster.services.remove(web)
        assert await cluster.tasks.list()
        await cluster.gone("web")
        assert await cluster.tasks.list() == []
