"""Transactions: an input and a state make the next record. What runs live, runs again in verification.

Each function folds what it decides; `watch` is shown each event just before it is folded.
"""

from collections.abc import Callable

from skep.core.decide import decide
from skep.core.events import Event
from skep.core.fold import begin, evolve
from skep.core.payload import slim
from skep.core.plan import PLANS, VERSIONS, Ids, Plan
from skep.core.record import Actor, Planned, Record, Submitted
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.model.ids import Instant, Position

#: Shown the state before an event, and the event.
Watch = Callable[[ClusterState, Event], None]


def unwatched(state: ClusterState, event: Event) -> None:
    """Look at nothing."""


def submit(
    state: ClusterState,
    submitted: Submitted,
    now: Instant,
    actor: Actor,
    seen: Position,
    watch: Watch = unwatched,
) -> Record | None:
    """Decide commands from outside as one, fold what comes of them, and return the record; None if nothing does.

    Several commands are tried on a copy first, so that a rejection leaves nothing half done.

    Raises:
        Rejected: one of them cannot be; the state is as it was.
    """
    if len(submitted.commands) > 1 and not _apply(state.copy(), submitted, now, unwatched):
        return None
    events = _apply(state, submitted, now, watch)
    if not events:
        return None
    return Record(state.position, state.time, actor, slim(submitted), events, seen=seen)


def run_plan(
    state: ClusterState, name: str, key: str, now: Instant, ids: Ids, watch: Watch = unwatched
) -> tuple[Plan, Record | None]:
    """Make a plan, decide and fold its commands, and return it with its record; None if it is content.

    Raises:
        Broken: what the plan wants cannot be, or is so already: a bug, since it looked at this very state.
    """
    now = max(now, state.time)
    plan = PLANS[name](state, key, now, ids)
    if not plan.commands:
        return plan, None
    position, seen = Position(state.position + 1), state.position
    begin(state, position, now, "")
    events: list[Event] = []
    for command in plan.commands:
        try:
            decided = decide(state, command)
        except Rejected as error:
            raise Broken(f"plan {name}({key}) at {seen} wants {command.name}: {error}") from error
        _fold(state, decided, watch)
        events += decided
    if not events:
        raise Broken(f"plan {name}({key}) at {seen} wants what is already so: {[c.name for c in plan.commands]}")
    planned = Planned(plan=name, key=key, now=now, version=VERSIONS.get(name, 1))
    return plan, Record(position, now, Actor("plan", name), planned, tuple(events), cause=plan.cause, seen=seen)


def _apply(state: ClusterState, submitted: Submitted, now: Instant, watch: Watch) -> tuple[Event, ...]:
    """Decide and fold commands. If the first is rejected, or nothing comes of all, the state is as it was."""
    position, time = state.position, state.time
    state.position, state.time = Position(position + 1), max(now, time)
    events: tuple[Event, ...] = ()
    try:
        for command in submitted.commands:
            decided = decide(state, command)
            if decided and not events:
                begin(state, state.position, state.time, submitted.id)
            _fold(state, decided, watch)
            events += decided
    finally:
        if not events:
            state.position, state.time = position, time
    return events


def _fold(state: ClusterState, events: tuple[Event, ...], watch: Watch) -> None:
    for event in events:
        watch(state, event)
        evolve(state, event)
