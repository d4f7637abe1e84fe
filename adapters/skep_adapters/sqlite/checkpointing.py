"""A process of its own that folds a log and saves a checkpoint: `python -m skep_adapters.sqlite.checkpointing DIR N D`.

It reads beside the writer, which it never holds up, and leaves the anchor to it. N and D are the position and, in
hexadecimal, the digest at which to cut.
"""

import os
import sys
from pathlib import Path

import anyio
from skep.core.codec import encode_state
from skep.core.fold import FOLD_VERSION
from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import Head, LogError
from skep.runtime.recovery import state_at

from skep_adapters.sqlite.checkpoints import FileCheckpoints
from skep_adapters.sqlite.event_log import SqliteEventLog

#: Less eager than the engine, which shares the machine.
NICENESS = 10

ARGUMENTS = 4


async def checkpoint_elsewhere(directory: Path, head: Head) -> str:
    """Run this module on a swarm's directory and wait; return what went wrong, empty if nothing did."""
    command = [sys.executable, "-m", __name__, str(directory), str(head.position), head.digest.hex()]
    done = await anyio.run_process(command, check=False)
    if not done.returncode:
        return ""
    words = done.stderr.decode(errors="replace").strip()
    return words.rsplit("\n", 1)[-1] or f"the process ended with {done.returncode}"


async def fold_and_save(directory: Path, head: Head) -> None:
    """Save the state at `head`, folded from the newest checkpoint of its history.

    Raises:
        LogError: the log does not reach it, or something cannot be read or written.
    """
    checkpoints = FileCheckpoints(directory / "checkpoints")
    log = SqliteEventLog(directory / "cluster.db", read_only=True)
    try:
        state = await state_at(log, checkpoints, head.position, head.digest)
    finally:
        await log.aclose()
    if state.position != head.position:
        raise LogError(f"the log ends at {state.position}, before {head.position}")
    await checkpoints.save(Checkpoint(head.position, head.digest, FOLD_VERSION, encode_state(state)))


def main() -> int:
    """Do what the arguments say."""
    if len(sys.argv) != ARGUMENTS:
        return 2
    os.nice(NICENESS)
    _, directory, position, digest = sys.argv
    try:
        anyio.run(fold_and_save, Path(directory), Head(Position(int(position)), bytes.fromhex(digest)))
    except LogError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
