"""The faults that the memory implementations can model, for simulations."""

import asyncio

import pytest
from skep.model.ids import Position
from skep.ports.event_log import AppendUnknown, Conflict, LogDamaged, LogFull
from skep.runtime.memory import AppendFault, MemoryEventLog, MemoryKeyring, MemoryStorage
from skep.testing.log_suite import BEFORE, bodies


async def test_an_append_that_finds_no_room_writes_nothing_and_a_later_one_may_succeed() -> None:
    log = MemoryEventLog()
    claim = await log.claim()
    log.fail_next(AppendFault.FULL, times=2)
    for _ in range(2):
        with pytest.raises(LogFull):
            await log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)
    assert (await log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)).position == 1


@pytest.mark.parametrize(("fault", "end"), [(AppendFault.UNKNOWN_LANDED, 2), (AppendFault.UNKNOWN_LOST, 0)])
async def test_after_an_unknown_outcome_only_a_claim_tells(fault: AppendFault, end: int) -> None:
    log = MemoryEventLog()
    claim = await log.claim()
    log.fail_next(fault)
    with pytest.raises(AppendUnknown):
        await log.append(bodies(2), expected=BEFORE, epoch=claim.epoch)
    for expected in (0, 2):
        with pytest.raises(Conflict):
            await log.append(bodies(1), expected=Position(expected), epoch=claim.epoch)
    claim = await log.claim()
    assert claim.head.position == end
    await log.append(bodies(1), expected=claim.head.position, epoch=claim.epoch)


async def test_faults_can_be_healed() -> None:
    log = MemoryEventLog()
    claim = await log.claim()
    log.fail_next(AppendFault.FULL, times=100)
    log.heal()
    await log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)


async def test_a_crash_leaves_a_prefix_of_whole_groups() -> None:
    log = MemoryEventLog()
    claim = await log.claim()
    end = await log.append(bodies(3), expected=BEFORE, epoch=claim.epoch)
    await log.append(bodies(5), expected=end.position, epoch=claim.epoch)
    for lose_groups, position in ((0, 8), (1, 3), (2, 0), (9, 0)):
        after = log.crash(lose_groups=lose_groups)
        assert (await after.claim()).head.position == position
        assert (await log.head()).position == 8


async def test_a_crash_that_loses_what_the_anchor_knew_is_damage() -> None:
    storage = MemoryStorage()
    store = await storage.begin()
    claim = await store.log.claim()
    head = await store.log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)
    await store.anchor(head)
    await store.log.append(bodies(1), expected=head.position, epoch=claim.epoch)
    after = await storage.crash(lose_groups=1).latest()
    assert after is not None
    assert (await after.log.claim()).head == head
    damaged = await storage.crash(lose_groups=2).latest()
    assert damaged is not None
    with pytest.raises(LogDamaged) as damage:
        await damaged.log.claim()
    assert damage.value.position == 0


async def test_faults_are_asked_for_at_the_storage_whatever_handle_appends() -> None:
    storage = MemoryStorage()
    store = await storage.begin()
    claim = await store.log.claim()
    storage.log.fail_next(AppendFault.FULL)
    with pytest.raises(LogFull):
        await store.log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)


async def test_an_append_takes_its_time_and_is_not_there_before() -> None:
    log = MemoryEventLog(append_s=0.3)
    claim = await log.claim()
    append = asyncio.ensure_future(log.append(bodies(1), expected=BEFORE, epoch=claim.epoch))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await log.head()).position == 0
    assert (await append).position == (await log.head()).position == 1


async def test_keys_can_come_from_a_seeded_source() -> None:
    assert await MemoryKeyring(draw=bytes).create("a") == bytes(32)
