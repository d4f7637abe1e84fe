"""Running a record again: the same input over the same state must give the same events, byte for byte."""

from collections.abc import Iterable, Iterator

from skep.core.codec import encode_event
from skep.core.events import Event
from skep.core.payload import restore
from skep.core.record import Planned, Record
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.core.transaction import run_plan, submit

#: How much of what was recorded, and of what came out, a difference shows.
SHOWN_CHARACTERS = 300


class RecordedIds:
    """The ids that a plan drew when it was made, fed back in their order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._left: Iterator[str] = (i for e in events if e.minted for i in getattr(e, e.minted))
        self._missing = 0

    def new(self) -> str:
        """Return the next id; one that nothing has, if more are drawn than were."""
        drawn = next(self._left, None)
        if drawn is None:
            self._missing += 1
            return f"not-recorded-{self._missing}"
        return drawn


def rerun(state: ClusterState, record: Record) -> str:
    """Run `record` again over the state before it, which this changes, and return what differs; empty if nothing.

    If something differs, the state is not what the log says.
    """
    ids = RecordedIds(record.events)
    try:
        again = _again(state, record, ids)
    except (Rejected, Broken, LookupError, AttributeError, TypeError, ValueError) as error:
        # the last four: what no valid log holds, since evolve cannot fail on one
        return f"was recorded as {_shown(record)}; now it cannot be: {error!r}"
    if again is None:
        return f"was recorded as {_shown(record)}; now nothing comes of it"
    if [*map(encode_event, again.events)] != [*map(encode_event, record.events)]:
        return f"was recorded as {_shown(record)}; now it gives {_shown(again)}"
    if (again.time, again.cause) != (record.time, record.cause):
        return f"was recorded at {record.time} for {record.cause}; now it comes at {again.time} for {again.cause}"
    return ""


def _again(state: ClusterState, record: Record, ids: RecordedIds) -> Record | None:
    match record.input:
        case Planned(plan=name, key=key, now=now):
            return run_plan(state, name, key, now, ids)[1]
        case submitted:
            sent = restore(submitted, record.events)
            return submit(state, sent, record.time, record.actor, record.seen)


def _shown(record: Record) -> str:
    text = ", ".join(encode_event(event).decode() for event in record.events)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
