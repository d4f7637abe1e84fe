"""One turn of the writer: what is decided and planned together, and becomes durable together.

It is bounded by counts, not by time, so that one seed gives one run.
"""

import asyncio

from msgspec import Struct

from skep.core.changes import Change, describe
from skep.core.codec import encode_record
from skep.core.events import Event
from skep.core.indexes import Touched
from skep.core.record import Actor, Planned, Record, Submitted
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.core.transaction import run_plan, submit
from skep.model.ids import Position
from skep.ports.clock import Clock, Ids
from skep.ports.event_log import RECORD_BYTES_MAX
from skep.runtime.errors import EngineError, NoSwarm
from skep.runtime.reconciler import Wakes

TURN_SUBMISSIONS_MAX = 1024  # the knee of benchmarks/submit.py lies below
TURN_RECORDS_MAX = 1024
TURN_BYTES_MAX = 1024 * 1024  # about 10 ms of encoding and folding
TURN_ROWS_MAX = 5000  # rows of tasks: about 20 ms of planning and folding


class Durable(Struct, frozen=True):
    """What became durable together."""

    records: tuple[Record, ...]
    changes: tuple[Change, ...]
    touched: Touched


class Waiting(Struct):
    """A submission in the queue."""

    submitted: Submitted
    actor: Actor
    seen: Position
    answer: "asyncio.Future[Position]"


class Turn:
    """One turn's records and answers."""

    def __init__(self, state: ClusterState, wakes: Wakes, *, clock: Clock, ids: Ids) -> None:
        self._state = state
        self._wakes = wakes
        #: one instant for the whole turn: it is short, and asking the clock for each record costs as much as a plan
        self.now = clock.now()
        self._ids = ids
        self.bodies: list[bytes] = []
        self.records: list[Record] = []
        self.changes: list[Change] = []
        self.touched = Touched()
        self.submissions = 0
        self._bytes = 0
        self._rows = 0
        self._answers: list[tuple[asyncio.Future[Position], Position | Exception]] = []

    @property
    def has_room(self) -> bool:
        """Whether the turn may grow."""
        return (
            self.submissions < TURN_SUBMISSIONS_MAX
            and len(self.bodies) < TURN_RECORDS_MAX
            and self._bytes < TURN_BYTES_MAX
            and self._rows < TURN_ROWS_MAX
        )

    def take(self, waiting: Waiting) -> None:
        """Decide one submission."""
        self.submissions += 1
        state = self._state
        done = state.recent.get(waiting.submitted.id) if waiting.submitted.id else None
        if done is not None:
            self._answers.append((waiting.answer, done))
            return
        if state.left:
            self._answers.append((waiting.answer, NoSwarm()))
            return
        try:
            record = submit(state, waiting.submitted, self.now, waiting.actor, waiting.seen, self._watch)
        except Rejected as error:
            self._answers.append((waiting.answer, error))
            return
        if record is not None:
            self._add(record)
        self._answers.append((waiting.answer, state.position))

    def plan(self, name: str, key: str) -> None:
        """Make one plan."""
        plan, record = run_plan(self._state, name, key, self.now, self._ids, self._watch)
        self._wakes.wake_at(name, key, plan.wake_at)
        if record is None:
            return
        self._add(record)
        if plan.more:
            self._wakes.wake(name, key)

    def answer(self) -> None:
        """Give every answer: all that they rest on is durable."""
        for future, result in self._answers:
            settle(future, result)

    def fail(self, error: EngineError) -> None:
        """Tell everybody of the turn that it failed, but for those who asked for nothing new."""
        for future, _ in self._answers:
            settle(future, error)
        self._answers.clear()

    def _watch(self, state: ClusterState, event: Event) -> None:
        self.changes += describe(state, state.position, state.time, event)

    def _add(self, record: Record) -> None:
        body = encode_record(record)
        if len(body) > RECORD_BYTES_MAX:
            raise Broken(f"{_origin(record)} makes a record of {len(body)} bytes, and {RECORD_BYTES_MAX} is the most")
        self.bodies.append(body)
        self.records.append(record)
        self._bytes += len(body)
        self._rows += sum(len(getattr(event, "task_ids", ())) for event in record.events)
        touched = self._state.take_touched()
        self._wakes.touch(touched)
        for node_id, task_ids in touched.assignments.items():
            known = self.touched.assignments.get(node_id)
            if known is None:
                self.touched.assignments[node_id] = task_ids
            else:
                known |= task_ids
        self.touched.sessions |= touched.sessions


def _origin(record: Record) -> str:
    """Say whose record it is."""
    if isinstance(record.input, Planned):
        return f"plan {record.input.plan}({record.input.key}) at {record.seen}"
    names = ", ".join(command.name for command in record.input.commands)
    return f"{names} of {record.actor.kind} {record.actor.name!r} at {record.seen}"


def settle(future: "asyncio.Future[Position]", result: Position | Exception) -> None:
    """Answer, unless its caller was cancelled."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
