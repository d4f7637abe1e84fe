"""A simulation that finds nothing proves nothing: engines with a bug each are found out."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from skep.core import address_index
from skep.core.addresses import Addresses
from skep.core.commands import HoldTasks, ReportTasks
from skep.core.decide import DECIDE
from skep.core.events import Event, TasksReported
from skep.core.plan import CONTENT, PLANS, Ids, Plan
from skep.core.plan.orchestrator import jobs
from skep.core.state import ClusterState
from skep.model.ids import Instant, NetworkId, Position
from skep.runtime.agent_worker import Worker
from skep.runtime.turn import Turn
from skep.runtime.writer import Writer

from tests.sim.telling import told_by


def test_an_engine_that_forgets_what_it_was_sent_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.core.fold.begin", without_ids)
    monkeypatch.setattr("skep.core.transaction.begin", without_ids)
    assert "was refused when it was sent again" in told_by(range(4))


def without_ids(state: ClusterState, position: Position, time: Instant, command_id: str) -> None:
    del command_id
    state.position, state.time = position, time


def test_an_engine_that_answers_before_it_is_durable_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    append = Writer._append

    async def hasty(self: Writer, turn: Turn) -> None:
        turn.answer()
        await append(self, turn)

    monkeypatch.setattr(Writer, "_append", hasty)
    assert re.search("was acknowledged at|was acknowledged again", told_by(range(8)))


def test_an_engine_that_does_not_restart_tasks_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, "restarts", lambda *_: CONTENT)
    assert "does not come to rest" in told_by(range(8))


def test_an_engine_that_takes_what_goes_back_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def credulous(state: ClusterState, command: ReportTasks) -> tuple[Event, ...]:
        rows = [row for row in zip(command.task_ids, command.statuses, strict=True) if row[0] in state.tasks]
        return (TasksReported(command.node_id, *zip(*rows, strict=True)),) if rows else ()

    monkeypatch.setitem(DECIDE, ReportTasks, credulous)
    assert re.search("task .* went from .* to", told_by(range(4)))


def test_an_agent_that_keeps_what_it_is_not_assigned_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_remove_all_but", lambda *_: None)
    assert "does not come to rest" in told_by(range(8))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("enforcement", "which does not fit|more .* than node"),
        ("node-globals", "has no task on node"),
        ("globals", "has no task on node|has a task on node|goes on with a run that is over"),
        ("handovers", "has several tasks"),
        ("nodes", "which is not to have any"),
        ("attachments", "has no address on network|for no task"),
        ("networks", "has no subnet, and .* is free"),
        ("allocation", "which has some left|of 1 ports|should say one of"),
        ("rebalancing", "is being rebalanced"),
    ],
)
def test_an_engine_that_never_makes_a_plan_is_found_out(plan: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, plan, lambda *_: CONTENT)
    assert re.search(words, told_by(range(8)))


def test_an_engine_that_gives_an_address_twice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Addresses.draw

    def careless(self: Addresses, network_id: NetworkId) -> str:
        addr = draw(self, network_id)
        self._ranges.clear()
        return addr

    monkeypatch.setattr(Addresses, "draw", careless)
    assert re.search("is both .*'s and .*'s", told_by(range(4)))


def test_an_engine_that_never_takes_an_address_back_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_index, "_free", lambda *_: None)
    assert re.search("addresses are held|index addresses", told_by(range(4)))


def test_an_engine_that_runs_a_job_once_too_often_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    next_slots: Callable[..., tuple[list[int], bool]] = jobs._next_slots

    def generous(*args: Any) -> tuple[list[int], bool]:
        slots, more = next_slots(*args)
        return [*slots, *(slot + 1 for slot in slots[-1:])], more

    monkeypatch.setattr(jobs, "_next_slots", generous)
    assert re.search("at once, and|has slots", told_by(range(4)))


def test_an_engine_whose_reasons_do_not_follow_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    place = PLANS["placement"]

    def stubborn(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:
        plan = place(state, key, now, ids)
        told = (_first_words(state, c) if isinstance(c, HoldTasks) else c for c in plan.commands)
        return replace(plan, commands=tuple(command for command in told if command is not None))

    monkeypatch.setitem(PLANS, "placement", stubborn)
    assert "and should say" in told_by(range(8))


def _first_words(state: ClusterState, command: HoldTasks) -> HoldTasks | None:
    rows = [r for r in zip(command.task_ids, command.reasons, strict=True) if not state.tasks[r[0]].status.err]
    return HoldTasks(*zip(*rows, strict=True)) if rows else None


def test_an_engine_that_does_not_say_how_an_update_ended_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.core.decide.service.outcome_of", lambda *_: None)
    assert "ended, and nobody says how" in told_by(range(4))


def test_an_agent_that_does_not_expand_templates_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.runtime.agent_expansion.is_templated", lambda *_: False)
    assert "HOST" in told_by(range(8))
