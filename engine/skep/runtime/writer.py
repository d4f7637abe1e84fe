"""The writer: the one place where commands are decided, plans are made, and records are appended.

A turn takes what is queued, decides it, makes the plans that this wakes, and appends all of it as one group; answers go
out when the group is durable, rejections and reads included. Turns follow one another: while one is being appended,
the next one's commands queue up, which is the group commit.

- A turn is bounded by counts, not by time, so that one seed gives one run.
- When an append fails, memory is dropped and the log replayed. Nothing is patched.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio
import msgspec

from skep.core.codec import decode_command, encode_command
from skep.core.commands import Command, ReportTasks
from skep.core.plan import every_key
from skep.core.record import Actor, Submitted
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, Position
from skep.ports.clock import Clock, Ids
from skep.ports.event_log import (
    RECORD_BYTES_MAX,
    AppendUnknown,
    Claim,
    Epoch,
    EventLog,
    Head,
    LogError,
    LogFull,
)
from skep.runtime.errors import EngineError, OutcomeUnknown, Unavailable
from skep.runtime.reconciler import Wakes
from skep.runtime.sources import EngineClock
from skep.runtime.turn import Durable, Turn, Waiting, settle

T = TypeVar("T")

QUEUE_MAX = 4096  # beyond it a submitter waits: back-pressure instead of memory
#: A command and its events both stand in the record; payloads of secrets and configs stand there once.
COMMAND_BYTES_MAX = RECORD_BYTES_MAX // 2 - 16 * 1024
PAYLOAD_BYTES_MAX = RECORD_BYTES_MAX - 64 * 1024

#: Commands that are mostly payload.
_PAYLOADS = ("create-secret/", "create-config/", "update-config/")

#: Seconds between attempts while the log cannot be written.
RETRY_S = (0.2, 1.0, 5.0)


class Recover(Protocol):
    """How the writer gets its state from the log, at the start and after a failure."""

    async def __call__(self) -> tuple[Claim, ClusterState]:
        """Claim the log, and return the claim with the state at the log's end."""
        ...


class Reread(Protocol):
    """How the writer gets its state from a log that it has claimed."""

    async def __call__(self, head: Head) -> ClusterState:
        """Return the state at `head`."""
        ...


class Writer:
    """Decides, plans and appends. Made by `skep.runtime.engine`; `run` is its only task."""

    def __init__(self, log: EventLog, recover: Recover, reread: Reread, *, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._recover = recover
        self._reread = reread
        self._clock = EngineClock(clock)
        self._ids = ids
        self._queue: deque[Waiting] = deque()
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._settled: asyncio.Future[None] | None = None
        self._refuse: str = ""
        self._failures = 0
        self._ended: BaseException | None = None
        self.wakes = Wakes()
        self.state = ClusterState()
        self.durable = Position(0)
        self.head = Head(Position(0), bytes(32))
        self.claim: Claim | None = None
        self._epoch = Epoch(0)
        #: said before anything else after a replay: it puts the indexes in order, however the state was recovered
        self.opening: Command | None = None
        #: called within a turn: what one of them raises ends the engine, so those of outsiders raise nothing
        self.on_durable: list[Callable[[Durable], None]] = []
        self.on_recovered: list[Callable[[], None]] = []
        self.on_ended: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Recover. Raises what the log raises."""
        await self._replay()

    @property
    def has_ended(self) -> bool:
        """Whether it takes no turns any more, for whatever reason."""
        return self._ended is not None

    @property
    def refuses(self) -> bool:
        """Whether it takes no commands just now, since the log cannot be written."""
        return bool(self._refuse)

    @property
    def ended_whole(self) -> bool:
        """Whether it was stopped between turns: its state is what the log says at its head, and may be kept."""
        stopped = isinstance(self._ended, asyncio.CancelledError)
        return stopped and self.state.position == self.head.position

    # --- what others call

    async def submit(
        self, *commands: Command, actor: Actor, command_id: str = "", seen: Position | None = None
    ) -> Position:
        """Have `commands` decided as one, and return the position at which they are durable.

        Commands whose `command_id` was seen before are done: their position then is returned. If nothing comes of them
        (it is already so), the position of the state that says so is returned.

        Raises:
            Rejected: they cannot be.
            NoSwarm: the swarm was left.
            Unavailable: the log cannot be written now; nothing was done.
            OutcomeUnknown: they may or may not have been done.
        """
        commands = _as_stored(commands)
        while len(self._queue) >= QUEUE_MAX:
            self._room.clear()
            await self._room.wait()
        self._check_open()
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._queue.append(
            Waiting(Submitted(commands, command_id), actor, self.durable if seen is None else seen, answer)
        )
        self._work.set()
        return await answer

    async def read(self, ask: Callable[[ClusterState], T]) -> T:
        """Return what `ask` says of the state, once everything that it saw is durable. `ask` must not change it."""
        while True:
            self._check_ended()
            result = ask(self.state)
            settled = self._settled
            if settled is None:
                return result
            try:
                await asyncio.shield(settled)
            except _Dropped:
                continue  # what it saw never happened
            return result

    # --- the loop

    async def run(self) -> None:
        """Take turns until cancelled, or until the log is lost for good (raises what it raised)."""
        try:
            while True:
                await self._wait_for_work()
                await self._turn()
        except BaseException as error:
            self._ended = error
            self._fail_queue(Unavailable("the engine has stopped"))
            for tell in tuple(self.on_ended):
                tell()
            raise

    async def _wait_for_work(self) -> None:
        while not self._queue and self.wakes.idle:
            self._work.clear()
            at = self.wakes.next_at()
            if at is None:
                await self._work.wait()
            else:
                delay = (at - self._clock.now()) / NANOSECONDS
                if delay > 0:
                    timer = asyncio.get_running_loop().call_later(delay, self._work.set)
                    try:
                        await self._work.wait()
                    finally:
                        timer.cancel()
            self.wakes.ring(self._clock.now())

    async def _turn(self) -> None:
        turn = Turn(self.state, self.wakes, clock=self._clock, ids=self._ids)
        try:
            await self._take_turn(turn)
        except BaseException:
            turn.fail(OutcomeUnknown("whether this was done is not known: the engine has stopped"))
            raise

    async def _take_turn(self, turn: Turn) -> None:
        while self._queue and turn.has_room:
            turn.take(self._queue.popleft())
        self._room.set()
        self.wakes.ring(turn.now)
        if self.state.left:
            self.wakes.clear()  # nothing follows in this log
        while turn.has_room and (key := self.wakes.pop()) is not None:
            turn.plan(*key)
        if turn.bodies:
            await self._append(turn)
            turn.answer()
        else:
            turn.answer()
            # a turn without an append must not hold the loop against everybody else
            await anyio.lowlevel.checkpoint()

    async def _append(self, turn: Turn) -> None:
        self._settled = asyncio.get_running_loop().create_future()
        try:
            with anyio.CancelScope(shield=True):
                head = await self._log.append(turn.bodies, expected=self.durable, epoch=self._epoch)
        except (LogFull, AppendUnknown) as error:
            await self._drop(turn, error)
            return
        except BaseException:
            self._release(_Dropped())
            raise
        self.head, self.durable = head, head.position
        self._failures = 0
        self._release(None)
        durable = Durable(tuple(turn.records), tuple(turn.changes), turn.touched)
        for tell in tuple(self.on_durable):
            tell(durable)

    async def _drop(self, turn: Turn, error: LogError) -> None:
        """Forget what was not written, replay, and take no commands for a while."""
        unknown = isinstance(error, AppendUnknown)
        turn.fail(
            OutcomeUnknown(f"whether this was done is not known: {error}") if unknown else Unavailable(str(error))
        )
        self._refuse = str(error)
        self._fail_queue(Unavailable(str(error)))
        try:
            if unknown:
                await self._replay_when_there_is_room()
            else:
                # the log holds what it held and is still ours; a claim would need the room that is missing
                self._resume(await self._reread(self.head))
        finally:
            self._release(_Dropped())
        self._open()
        for tell in self.on_recovered:
            tell()
        await anyio.sleep(RETRY_S[min(self._failures, len(RETRY_S) - 1)])
        self._failures += 1
        self._refuse = ""

    async def _replay(self) -> None:
        self.claim, state = await self._recover()
        self._epoch = self.claim.epoch
        self.head = self.claim.head
        self._resume(state)

    async def _replay_when_there_is_room(self) -> None:
        """Claim and replay; a claim is a write too, and waits for room as an append does."""
        while True:
            try:
                await self._replay()
            except LogFull as error:
                self._refuse = str(error)
                await anyio.sleep(RETRY_S[-1])
            else:
                return

    def _resume(self, state: ClusterState) -> None:
        """Go on from `state`, which is what the log says."""
        self.state = state
        self.state.take_touched()
        self.durable = state.position
        self._clock.reached(state.time)
        self.wakes = Wakes()
        for plan, key in every_key(self.state) if not self.state.left else ():
            self.wakes.wake(plan, key)
        self._work.set()

    def _open(self) -> None:
        if self.opening is None:
            return
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda answered: answered.cancelled() or answered.exception())
        self._queue.appendleft(Waiting(Submitted((self.opening,)), Actor("engine"), self.durable, answer))

    def _release(self, error: Exception | None) -> None:
        settled, self._settled = self._settled, None
        if settled is None:
            return
        if error is None:
            settled.set_result(None)
        else:
            settled.set_exception(error)
            settled.exception()  # seen, even if nobody reads just now

    def _fail_queue(self, error: EngineError) -> None:
        while self._queue:
            settle(self._queue.popleft().answer, error)
        self._room.set()

    def _check_open(self) -> None:
        self._check_ended()
        if self._refuse:
            raise Unavailable(f"the log cannot be written: {self._refuse}")

    def _check_ended(self) -> None:
        if self._ended is not None:
            raise Unavailable("the engine has stopped")


class _Dropped(Exception):
    """What was in memory did not become durable."""


def _as_stored(commands: tuple[Command, ...]) -> tuple[Command, ...]:
    """Return commands as the log will give them back; refuse what it would not, before anything is decided.

    A caller's list where a tuple belongs makes no difference then; a word where a number belongs is no record.
    """
    bodies = [encode_command(command) for command in commands]
    payload = sum(
        len(body) for command, body in zip(commands, bodies, strict=True) if command.name.startswith(_PAYLOADS)
    )
    plain = sum(map(len, bodies)) - payload
    size, limit = (plain, COMMAND_BYTES_MAX) if not payload else (2 * plain + payload, PAYLOAD_BYTES_MAX)
    if size > limit:
        what = "a change" if payload and plain else commands[0].name.partition("/")[0]
        raise Rejected.invalid(f"{what} of {size} bytes (base64 counts) is too large: at most {limit} fit in a record")
    try:
        # reports are the agents', made here of decoded parts, and the bulk of all
        return tuple(
            command if isinstance(command, ReportTasks) else decode_command(body)
            for command, body in zip(commands, bodies, strict=True)
        )
    except msgspec.ValidationError as error:
        raise Rejected.invalid(f"{commands[0].name} cannot be stored: {error}") from error
