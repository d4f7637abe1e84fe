"""Recovery: the state at the end of a log, from its newest checkpoint and the records after it."""

import anyio

from skep.core.codec import Undecodable, UnknownEvent, decode_record, decode_state
from skep.core.fold import FOLD_VERSION, fold
from skep.core.state import ClusterState
from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint, Checkpoints
from skep.ports.event_log import Claim, EventLog, LogError
from skep.ports.storage import Store

#: Records read at once; the loop gets a turn between batches.
BATCH = 500


async def recover(store: Store) -> tuple[Claim, ClusterState]:
    """Claim the store's log, and return the claim with the state at its end.

    Raises:
        LogError: the log cannot be claimed or read, or is of a newer version.
    """
    claim = await store.log.claim()
    state = await state_at(store.log, store.checkpoints, claim.head.position)
    if state.position != claim.head.position:
        raise LogError(f"the log ends at {claim.head.position}, but only {state.position} records could be read")
    return claim, state


async def state_at(log: EventLog, checkpoints: Checkpoints | None, position: Position) -> ClusterState:
    """Return the state after `position`.

    Raises:
        LogError: a record cannot be read, or this version does not know it.
    """
    state = await _from_checkpoint(checkpoints, position) if checkpoints is not None else ClusterState()
    while state.position < position:
        batch = await log.read(state.position, limit=BATCH)
        if not batch:
            break
        for recorded in batch:
            if recorded.position > position:
                break
            fold_body(state, recorded.body)
        state.take_touched()
        await anyio.lowlevel.checkpoint()
    return state


def fold_body(state: ClusterState, body: bytes) -> None:
    """Fold one stored record."""
    try:
        record = decode_record(body)
    except UnknownEvent as error:
        raise LogError(f"this log is of a newer version of skep: {error}; use that version, or only read it") from error
    except Undecodable as error:
        raise LogError(f"the record after {state.position} is no record: {error}") from error
    fold(state, record.position, record.time, record.command_id, record.events)


async def _from_checkpoint(checkpoints: Checkpoints, position: Position) -> ClusterState:
    checkpoint: Checkpoint | None = await checkpoints.latest(fold_version=FOLD_VERSION)
    if checkpoint is None or checkpoint.position > position:
        return ClusterState()
    try:
        state = decode_state(checkpoint.body)
    except Undecodable:
        return ClusterState()  # losing a checkpoint costs time, never truth
    state.take_touched()
    return state
