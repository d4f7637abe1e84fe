"""Verification finds what does not hold, names the position, and finds nothing where all is well."""

import json
from typing import Any

import pytest
import skep
from skep.core.codec import encode_state
from skep.core.fold import FOLD_VERSION
from skep.core.plan import VERSIONS
from skep.history.verify import Report, verify
from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import Head
from skep.runtime.memory import MemoryStorage, MemoryStore
from skep.runtime.recovery import state_at


@pytest.fixture
async def storage() -> MemoryStorage:
    """A swarm that served, was scaled, and was stopped in order."""
    storage = MemoryStorage()
    async with skep.Cluster.open(storage=storage, nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=3))
        await cluster.converged("web", timeout_s=10)
        await cluster.services.scale("web", 1)
        await cluster.converged("web", timeout_s=10)
    return storage


async def opened(storage: MemoryStorage) -> MemoryStore:
    store = await storage.latest()
    assert store is not None
    return store


async def forged(storage: MemoryStorage, holding: str, **changes: Any) -> Report:
    """Verify the log as it would be if the first record that holds these words had been written with other fields."""
    store = await opened(storage)
    bodies = [json.loads(recorded.body) for recorded in await store.log.read(Position(0), limit=1000)]
    changed = next(body for body in bodies if holding in json.dumps(body))
    changed.update(changes)
    other = await MemoryStorage().begin()
    claim = await other.log.claim()
    await other.log.append(
        [json.dumps(body, separators=(",", ":")).encode() for body in bodies], expected=Position(0), epoch=claim.epoch
    )
    return await verify(other)


async def test_a_log_as_it_was_written_has_no_problems(storage: MemoryStorage) -> None:
    store = await opened(storage)
    told: list[tuple[int, int]] = []
    report = await verify(store, progress=lambda at, end: told.append((at, end)))
    assert report.problems == ()
    assert report.clean
    assert report.head == await store.log.head()
    assert report.records == report.head.position == report.decisions + report.plans
    assert report.plans > 0
    assert report.checkpoints == 1
    assert told[-1] == (report.records, report.records)


async def test_the_whole_log_is_read_though_only_a_checkpoint_was_needed(storage: MemoryStorage) -> None:
    report = await verify(await opened(storage), quick=True)
    assert (report.problems, report.decisions, report.plans, report.checkpoints) == ((), 0, 0, 1)


async def test_an_event_that_was_not_decided_is_found_with_its_position(storage: MemoryStorage) -> None:
    report = await forged(storage, "create-service/1", events=[{"type": "engine.started/1", "version": "forged"}])
    assert report.problems[0].startswith("position ")
    assert "create-service/1" in report.problems[0]
    assert "forged" in report.problems[0]
    assert "service.created/1" in report.problems[0]


async def test_a_plan_of_another_key_is_found(storage: MemoryStorage) -> None:
    planned = {"type": "plan", "plan": "replicas", "key": "x", "now": 1, "version": VERSIONS["replicas"]}
    report = await forged(storage, '"replicas"', input=planned)
    assert "now nothing comes of it" in report.problems[0]


async def test_a_time_before_the_one_before_is_found(storage: MemoryStorage) -> None:
    report = await forged(storage, "create-service/1", time=5)
    assert "is of 5, before" in report.problems[0]


async def test_a_cause_that_lies_ahead_is_found(storage: MemoryStorage) -> None:
    report = await forged(storage, '"replicas"', cause=1000)
    assert "which lie ahead" in report.problems[0]


async def test_a_plan_that_answers_nothing_is_found(storage: MemoryStorage) -> None:
    report = await forged(storage, '"replicas"', cause=0)
    assert "answers nothing" in report.problems[0]


async def test_a_record_of_another_position_ends_the_verification(storage: MemoryStorage) -> None:
    report = await forged(storage, "create-service/1", position=1000)
    assert "holds the record of position 1000" in report.problems[0]
    assert report.records < 1000


async def test_an_unknown_event_ends_the_verification(storage: MemoryStorage) -> None:
    report = await forged(storage, "create-service/1", events=[{"type": "service.exploded/1"}])
    assert "service.exploded/1" in report.problems[0]


async def test_a_checkpoint_that_is_not_the_state_there_is_found(storage: MemoryStorage) -> None:
    store = await opened(storage)
    end = await store.log.head()
    state = await state_at(store.log, None, end.position)
    state.next_port += 1
    await store.checkpoints.save(Checkpoint(end.position, end.digest, FOLD_VERSION, encode_state(state)))
    report = await verify(store)
    assert report.problems == (f"position {end.position} has a checkpoint that is not the state there",)


async def test_a_checkpoint_of_another_fold_is_skipped(storage: MemoryStorage) -> None:
    store = await opened(storage)
    end = await store.log.head()
    await store.checkpoints.save(Checkpoint(end.position, end.digest, "another", b"whatever"))
    report = await verify(store)
    assert report.problems == ()
    assert report.notes == (f"the checkpoint of position {end.position} was skipped: other version",)


async def test_a_checkpoint_of_another_log_is_found(storage: MemoryStorage) -> None:
    store = await opened(storage)
    end = await store.log.head()
    state = await state_at(store.log, None, end.position)
    await store.checkpoints.save(Checkpoint(end.position, b"x" * 32, FOLD_VERSION, encode_state(state)))
    assert "checkpoint of another log" in (await verify(store)).problems[0]


async def test_another_history_than_the_chain_says_is_found(storage: MemoryStorage) -> None:
    store = await opened(storage)
    records = store.log._records
    end = records.heads[-1]
    records.heads[-1] = Head(end.position, b"x" * 32)
    assert any("bears another digest" in problem for problem in (await verify(store)).problems)
