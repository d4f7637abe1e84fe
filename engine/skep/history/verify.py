"""Verify: read a log from its start and see that all of it holds. Reads only, so it works beside a running engine.

- The chain of digests holds, positions are dense, time never goes back, and a cause lies before what it caused.
- Every decision and every plan, run again over the state before it, gives the events that were recorded.
- Every checkpoint of this fold's version is the state at its position, and bears the chain's digest there.
- The state at the end is whole (`skep.core.invariants`).
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from skep.core.codec import Undecodable, UnknownEvent, decode_record, encode_state
from skep.core.fold import FOLD_VERSION, fold
from skep.core.invariants import check
from skep.core.plan import VERSIONS
from skep.core.record import Planned, Record
from skep.core.rejected import Broken
from skep.core.state import ClusterState
from skep.history.rerun import rerun
from skep.model.ids import START, Position
from skep.ports.event_log import GENESIS, EventLog, Head, LogDamaged, Recorded, chained
from skep.ports.storage import Store

#: Records read at once; others get the loop between batches.
BATCH = 200

#: After so many differences no more are looked for: each costs a fold of all that came before.
DIFFERENCES_MAX = 10

#: Told the position verified so far, and the last one.
Progress = Callable[[Position, Position], None]


class Report(Struct, frozen=True):
    """What was looked at, and what does not hold. `notes` say what could not be compared; they are no problems.

    `decisions` and `plans` count what was run again, `earlier` plans of an earlier version, which were folded only;
    `checkpoints` what was compared; `head` is where reading ended.
    """

    records: int
    decisions: int
    plans: int
    earlier: int
    checkpoints: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    head: Head

    @property
    def clean(self) -> bool:
        """Whether everything holds."""
        return not self.problems


async def verify(store: Store, *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Verify what `store` keeps, up to where its log ends now; `quick` runs nothing again.

    Raises:
        LogError: the log cannot be read at all. A damaged one is reported.
    """
    this = _Verification(store, quick=quick)
    await this.read(progress)
    return this.report()


class _Stop(Exception):
    """What follows rests on what does not hold."""


class _Verification:
    def __init__(self, store: Store, *, quick: bool) -> None:
        self._store = store
        self._quick = quick
        self._state = ClusterState()
        self._head = Head(START, GENESIS)
        self._decisions = 0
        self._plans = 0
        self._earlier = 0
        self._compared = 0
        self._differences = 0
        self._problems: list[str] = []
        self._notes: list[str] = []

    def report(self) -> Report:
        return Report(
            records=self._head.position,
            decisions=self._decisions,
            plans=self._plans,
            earlier=self._earlier,
            checkpoints=self._compared,
            problems=tuple(self._problems),
            notes=tuple(self._notes),
            head=self._head,
        )

    async def read(self, progress: Progress | None) -> None:
        try:
            await self._read(progress)
            check(self._state)
        except LogDamaged as error:
            self._problem(error.position, f"is the last good one: {error}")
        except Broken as error:
            self._problem(self._state.position, f"leaves a state that is not whole: {error}")
        except _Stop as stop:
            self._problems.append(str(stop))

    async def _read(self, progress: Progress | None) -> None:
        log = self._store.log
        checkpoints = dict.fromkeys(await self._store.checkpoints.positions())
        end = await log.head()
        while self._head.position < end.position:
            batch = await _next(log, self._head.position, end.position)
            for recorded in batch:
                await self._take(recorded)
                if recorded.position in checkpoints:
                    del checkpoints[recorded.position]
                    await self._compare(recorded.position)
            self._state.take_touched()
            if progress is not None:
                progress(self._head.position, end.position)
        if self._head.digest != end.digest:
            self._problem(end.position, "bears another digest than the chain of the records up to it")
        for position in checkpoints:
            if position > end.position:
                self._problem(position, f"has a checkpoint, but the log ends at {end.position}")

    async def _take(self, recorded: Recorded) -> None:
        record = self._decoded(recorded)
        self._check_frame(record)
        if self._quick or record.unknown:
            if record.unknown and not self._quick:
                self._notes.append(f"position {record.position} was not run again: {', '.join(record.unknown)} unknown")
            _fold(self._state, record)
        elif isinstance(record.input, Planned) and record.input.version != VERSIONS.get(record.input.plan, 1):
            self._earlier += 1
            _fold(self._state, record)
        else:
            await self._rerun(record)
        self._head = Head(recorded.position, chained(self._head.digest, recorded.body))

    def _decoded(self, recorded: Recorded) -> Record:
        expected = self._head.position + 1
        if recorded.position != expected:
            raise _Stop(f"position {expected} is missing: {recorded.position} follows {expected - 1}")
        try:
            record = decode_record(recorded.body)
        except (UnknownEvent, Undecodable) as error:
            raise _Stop(f"position {recorded.position} cannot be read: {error}") from error
        if record.position != recorded.position:
            raise _Stop(f"position {recorded.position} holds the record of position {record.position}")
        return record

    def _check_frame(self, record: Record) -> None:
        if record.time < self._state.time:
            self._problem(record.position, f"is of {record.time}, before {self._state.time} of the one before")
        if record.cause >= record.position or record.seen >= record.position:
            self._problem(record.position, f"answers {record.cause} and has seen {record.seen}, which lie ahead")
        if isinstance(record.input, Planned) and record.cause == START:
            self._problem(record.position, f"is of plan {record.input.plan}, and answers nothing")

    async def _rerun(self, record: Record) -> None:
        if isinstance(record.input, Planned):
            self._plans += 1
        else:
            self._decisions += 1
        difference = rerun(self._state, record)
        if not difference:
            return
        self._problem(record.position, f"({_named(record)}) {difference}")
        self._differences += 1
        if self._differences == DIFFERENCES_MAX:
            self._quick = True
            self._notes.append(f"after position {record.position} nothing was run again: there were enough differences")
        self._state = await self._folded(record.position)

    async def _folded(self, position: Position) -> ClusterState:
        """Return the state that the log says, where running again led to another."""
        state = ClusterState()
        while state.position < position:
            for recorded in await _next(self._store.log, state.position, position):
                _fold(state, decode_record(recorded.body))
            state.take_touched()
        return state

    async def _compare(self, position: Position) -> None:
        checkpoint = await self._store.checkpoints.load(position)
        if checkpoint is None:
            self._notes.append(f"the checkpoint of position {position} is gone, or damaged")
            return
        if checkpoint.digest != self._head.digest:
            self._problem(position, "has a checkpoint of another log: its digest is not the chain's")
        if checkpoint.fold_version != FOLD_VERSION:
            self._notes.append(f"the checkpoint of position {position} was skipped: other version")
            return
        self._compared += 1
        if checkpoint.body != encode_state(self._state):
            self._problem(position, "has a checkpoint that is not the state there")

    def _problem(self, position: int, what: str) -> None:
        self._problems.append(f"position {position} {what}")


async def _next(log: EventLog, after: Position, end: Position) -> Sequence[Recorded]:
    batch = await log.read(after, limit=min(BATCH, end - after))
    if not batch:
        raise _Stop(f"position {after + 1} cannot be read, but the log ends at {end}")
    return batch


def _fold(state: ClusterState, record: Record) -> None:
    try:
        fold(state, record.position, record.time, record.command_id, record.events)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        # evolve cannot fail on a valid log: this one was made by other means
        raise _Stop(f"position {record.position} cannot be folded: {error!r}") from error


def _named(record: Record) -> str:
    if isinstance(record.input, Planned):
        return f"plan {record.input.plan}({record.input.key})"
    return ", ".join(command.name for command in record.input.commands)
