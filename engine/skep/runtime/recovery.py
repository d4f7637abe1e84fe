"""Recovery: the state at the end of a log, from its newest checkpoint and the records after it."""

import anyio
import structlog

from skep.core.codec import Undecodable, UnknownEvent, decode_record, decode_state
from skep.core.fold import FOLD_VERSION, fold
from skep.core.state import ClusterState
from skep.model.ids import START, Position
from skep.ports.checkpoints import Checkpoint, Checkpoints
from skep.ports.event_log import GENESIS, Claim, EventLog, Head, LogError, chained
from skep.ports.storage import Store

_log = structlog.get_logger("skep.recovery")

#: Records read at once; the loop gets a turn between batches.
BATCH = 500


async def recover(store: Store) -> tuple[Claim, ClusterState]:
    """Claim the store's log, and return the claim with the state at its end.

    Raises:
        LogError: the log cannot be claimed or read, or is of a newer version.
    """
    claim, state, _ = await recover_since(store)
    return claim, state


async def recover_since(store: Store) -> tuple[Claim, ClusterState, Position]:
    """Recover as `recover`, and return the position of the checkpoint that it began from, too; 0 if none."""
    claim = await store.log.claim()
    head = claim.head
    state, since = await _state_since(store.log, store.checkpoints, head.position, head.digest)
    if state.position != head.position:
        raise LogError(f"the log ends at {head.position}, but only {state.position} records could be read")
    return claim, state, since


async def state_at(
    log: EventLog, checkpoints: Checkpoints | None, position: Position, digest: bytes | None = None
) -> ClusterState:
    """Return the state after `position`, or at the log's end if that comes before.

    `digest` is the chain's there. A checkpoint is used only if it is given, and if the records that follow the
    checkpoint lead to it: where a backup was put back, there may be checkpoints of what was never so.

    Raises:
        LogError: a record cannot be read, or this version does not know it, or the chain leads elsewhere.
    """
    state, _ = await _state_since(log, checkpoints, position, digest)
    return state


async def _state_since(
    log: EventLog, checkpoints: Checkpoints | None, position: Position, digest: bytes | None
) -> tuple[ClusterState, Position]:
    if checkpoints is not None and digest is not None:
        for at in reversed(await checkpoints.positions()):
            checkpoint = await checkpoints.load(at) if at <= position else None
            if checkpoint is None or checkpoint.fold_version != FOLD_VERSION:
                continue
            state = await _state_from(log, checkpoint, position, digest)
            if state is not None:
                return state, at
    beginning = Folding(ClusterState(), Head(START, GENESIS))
    await beginning.go_on(log, position)
    if beginning.failure is not None:
        raise beginning.failure
    if digest is not None and beginning.head.position == position and beginning.head.digest != digest:
        raise LogError(f"the records up to {position} are not those that were written")
    return beginning.state, START


async def _state_from(log: EventLog, checkpoint: Checkpoint, position: Position, digest: bytes) -> ClusterState | None:
    """Return the state from a checkpoint on; None if it cannot be read, or is of another history."""
    try:
        state = decode_state(checkpoint.body)
    except Undecodable:
        return None  # losing a checkpoint costs time, never truth
    state.take_touched()
    folding = Folding(state, Head(checkpoint.position, checkpoint.digest))
    await folding.go_on(log, position)
    if folding.head != Head(position, digest):
        _log.warning("recovery.checkpoint_of_another_history", position=checkpoint.position)
        return None
    if folding.failure is not None:
        raise folding.failure
    return state


class Folding:
    """A state that is folded on, and where in which chain it is."""

    def __init__(self, state: ClusterState, head: Head) -> None:
        self.state = state
        self.head = head
        #: what the first record that could not be folded raised; the chain goes on, since it tells whether that counts
        self.failure: Exception | None = None

    async def go_on(self, log: EventLog, position: Position) -> None:
        """Fold the records up to `position`, or up to the log's end."""
        while self.head.position < position:
            batch = await log.read(self.head.position, limit=BATCH)
            if not batch:
                return
            for recorded in batch:
                if recorded.position > position:
                    break
                self.head = Head(recorded.position, chained(self.head.digest, recorded.body))
                self._fold(recorded.body)
            self.state.take_touched()
            await anyio.lowlevel.checkpoint()

    def _fold(self, body: bytes) -> None:
        if self.failure is not None:
            return
        try:
            fold_body(self.state, body)
        except Exception as error:  # noqa: BLE001 - over a state of another history anything may be wrong
            self.failure = error


def fold_body(state: ClusterState, body: bytes) -> None:
    """Fold one stored record."""
    try:
        record = decode_record(body)
    except UnknownEvent as error:
        raise LogError(f"this log is of a newer version of skep: {error}; use that version, or only read it") from error
    except Undecodable as error:
        raise LogError(f"the record after {state.position} is no record: {error}") from error
    fold(state, record.position, record.time, record.command_id, record.events)
