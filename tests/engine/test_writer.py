"""The writer: what is answered is durable, and what fails is said, once and truly."""

import asyncio

import anyio
import pytest
import skep
from msgspec.structs import replace
from skep.core.codec import decode_record, encode_state
from skep.core.commands import CreateService
from skep.core.record import Actor
from skep.model.ids import Position, ServiceId
from skep.runtime.memory import AppendFault, MemoryStorage
from skep.testing.engine_test import engine_test

ME = Actor("person", "me")


def create(number: int) -> CreateService:
    return CreateService(ServiceId(f"service-{number}"), skep.service_spec(f"web{number}", "demo", replicas=0))


async def test_what_comes_while_an_append_goes_on_becomes_durable_together() -> None:
    groups: list[int] = []
    async with engine_test(storage=MemoryStorage(append_s=0.5)) as cluster:
        await anyio.sleep(30)
        writer = cluster.engine.writer
        writer.on_durable.append(lambda durable: groups.append(len(durable.records)))
        await asyncio.gather(*(writer.submit(create(number), actor=ME) for number in range(20)))
        assert groups[0] == 20
        groups.clear()
        first = asyncio.create_task(writer.submit(create(100), actor=ME))
        await asyncio.sleep(0.1)
        await asyncio.gather(*(writer.submit(create(number), actor=ME) for number in range(101, 111)))
        await first
        assert groups[:2] == [1, 10]


async def test_an_answer_is_durable() -> None:
    async with engine_test(storage=MemoryStorage(append_s=0.5)) as cluster:
        at = await cluster.engine.writer.submit(create(1), actor=ME)
        assert (await cluster.engine.store.log.head()).position >= at


async def test_a_read_rests_on_what_is_durable() -> None:
    async with engine_test(storage=MemoryStorage(append_s=0.5)) as cluster:
        await anyio.sleep(30)
        writer = cluster.engine.writer
        writing = asyncio.create_task(writer.submit(create(1), actor=ME))
        await asyncio.sleep(0.1)
        names = await cluster.read(lambda state: list(state.service_names))
        assert names == ["web1"]
        assert writing.done()


async def test_a_rejection_waits_for_what_it_rests_on() -> None:
    async with engine_test(storage=MemoryStorage(append_s=0.5)) as cluster:
        await anyio.sleep(30)
        writer = cluster.engine.writer
        one, other = create(1), CreateService(ServiceId("other"), create(1).spec)
        began = anyio.current_time()
        answers = await asyncio.gather(
            writer.submit(one, actor=ME), writer.submit(other, actor=ME), return_exceptions=True
        )
        assert isinstance(answers[1], skep.Rejected)
        assert anyio.current_time() - began >= 0.5


async def test_a_full_log_is_said_and_the_engine_goes_on() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        await anyio.sleep(10)
        storage.log.fail_next(AppendFault.FULL)
        with pytest.raises(skep.Unavailable, match="no room"):
            await cluster.services.create(skep.service_spec("web", "demo"))
        with pytest.raises(skep.Unavailable):
            await cluster.services.create(skep.service_spec("web", "demo"))
        assert await cluster.services.list() == []
        await anyio.sleep(10)
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")


async def test_a_log_that_stays_full_for_long_is_no_end() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        await anyio.sleep(10)
        storage.log.fail_next(AppendFault.FULL, times=6)
        with pytest.raises(skep.Unavailable):
            await cluster.services.create(skep.service_spec("web", "demo"))
        await anyio.sleep(120)
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")


@pytest.mark.parametrize("fault", [AppendFault.UNKNOWN_LANDED, AppendFault.UNKNOWN_LOST])
async def test_after_an_unknown_outcome_the_command_id_tells_the_truth(fault: AppendFault) -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        await anyio.sleep(10)
        storage.log.fail_next(fault)
        with pytest.raises(skep.OutcomeUnknown):
            await cluster.services.create(skep.service_spec("web", "demo"), command_id="once")
        await anyio.sleep(10)
        landed = [service.id for service in await cluster.services.list()]
        assert bool(landed) is (fault is AppendFault.UNKNOWN_LANDED)
        again = await cluster.services.create(skep.service_spec("web", "demo"), command_id="once")
        assert [service.id for service in await cluster.services.list()] == [again]
        assert landed in ([], [again])
        await cluster.converged("web")


async def test_commands_with_one_id_are_done_once() -> None:
    async with engine_test() as cluster:
        spec = skep.service_spec("web", "demo")
        ids = await asyncio.gather(*(cluster.services.create(spec, command_id="once") for _ in range(5)))
        assert len(set(ids)) == 1
        assert len(await cluster.services.list()) == 1


async def test_another_who_claims_the_log_ends_the_engine_and_nobody_waits_for_ever() -> None:
    with pytest.raises(skep.EngineFailed):
        await lose_the_log()


async def lose_the_log() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        await anyio.sleep(10)
        other = await storage.latest()
        assert other is not None
        await other.log.claim()
        # the block is cancelled when the engine fails; who asks from elsewhere is answered
        asking = asyncio.create_task(cluster.engine.writer.submit(create(1), actor=ME))
        with anyio.CancelScope(shield=True), pytest.raises(skep.OutcomeUnknown):
            await asyncio.wait_for(asking, 60)
        await anyio.sleep(60)


async def test_recovery_gives_the_same_state_with_and_without_a_checkpoint() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage, nodes=3) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=5))
        await cluster.converged("web")
        crashed = storage.crash()
        before = await cluster.read(lambda state: (state.position, encode_state(state)))
    for again in (storage, crashed):
        async with engine_test(storage=again, nodes=3) as cluster:
            started = await again.log.read(Position(before[0]), limit=1)
            assert decode_record(started[0].body).events[0].name == "engine.started/1"
            await cluster.converged("web")


async def test_a_list_where_a_tuple_belongs_makes_no_difference() -> None:
    """What is in memory must be what the log gives back, or a start of the engine changes it."""
    spec = skep.service_spec("web", "demo", args=["a"])
    container = replace(spec.container, args=["a"])  # type: ignore[arg-type]  # as an untyped caller would
    listed = replace(spec, task_template=replace(spec.template, container_spec=container))
    async with engine_test() as cluster:
        web = await cluster.services.create(listed)
        await cluster.converged("web")
        await cluster.services.update(web, (await cluster.services.get("web")).version, spec)
        assert (await cluster.services.get("web")).update_status is None
        assert len(await cluster.tasks.list()) == 1


async def test_what_the_log_could_not_give_back_is_refused() -> None:
    async with engine_test() as cluster:
        with pytest.raises(skep.Rejected, match="cannot be stored"):
            await cluster.services.create(skep.service_spec("web", "demo", replicas="3"))  # type: ignore[arg-type]  # as an untyped caller would
        assert await cluster.services.list() == []
