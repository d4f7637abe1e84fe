"""A real log, committed and never edited: what was written once is read, folded and decided alike for good.

Where a rule is changed on purpose, its decisions differ from those recorded: then this log stays for the fold, and a
new one is added for the rules.
"""

import asyncio
from pathlib import Path

import pytest
from skep.core.codec import decode_record, decode_state, encode_record, encode_state
from skep.core.events import EVENTS
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.plan import PLANS, VERSIONS
from skep.core.record import Planned, Record
from skep.core.state import ClusterState
from skep.history.verify import Report, verify
from skep.model.ids import Position
from skep.runtime.memory import MemoryStorage

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.jsonl"))

golden = pytest.mark.parametrize("history", HISTORIES, ids=lambda path: path.stem)


def bodies(history: Path) -> list[bytes]:
    return history.read_bytes().splitlines()


def folded(state: ClusterState, records: list[Record]) -> ClusterState:
    for record in records:
        fold(state, record.position, record.time, record.command_id, record.events)
    return state


def test_every_event_is_in_some_history() -> None:
    seen = {event.name for history in HISTORIES for body in bodies(history) for event in decode_record(body).events}
    assert seen >= set(EVENTS), f"add a history with {set(EVENTS) - seen}"


def test_every_plan_is_in_some_history() -> None:
    inputs = [decode_record(body).input for history in HISTORIES for body in bodies(history)]
    seen = {(made.plan, made.version) for made in inputs if isinstance(made, Planned)}
    wanted = {(plan, VERSIONS.get(plan, 1)) for plan in PLANS}
    assert seen >= wanted, f"add a history with {wanted - seen}"


@golden
def test_every_record_is_written_as_it_was(history: Path) -> None:
    for body in bodies(history):
        assert encode_record(decode_record(body)) == body


@golden
def test_the_state_after_every_record_is_whole(history: Path) -> None:
    state = ClusterState()
    for body in bodies(history):
        check(folded(state, [decode_record(body)]))


@golden
def test_every_cut_gives_the_same_state(history: Path) -> None:
    records = [decode_record(body) for body in bodies(history)]
    whole = encode_state(folded(ClusterState(), records))
    for cut in range(0, len(records) + 1, 7):
        first = decode_state(encode_state(folded(ClusterState(), records[:cut])))
        check(first)
        assert encode_state(folded(first, records[cut:])) == whole


@golden
def test_every_decision_and_plan_comes_out_as_it_did(history: Path) -> None:
    report = asyncio.run(verified(history))
    assert report.problems == ()
    assert report.records == len(bodies(history))
    assert report.plans > 0


async def verified(history: Path) -> Report:
    store = await MemoryStorage().begin()
    claim = await store.log.claim()
    await store.log.append(bodies(history), expected=Position(0), epoch=claim.epoch)
    return await verify(store)
