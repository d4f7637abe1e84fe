"""The storage of a story: a disk that fills up, slows down, answers nothing, lies, and survives its engine's crash.

A crash leaves the engine with a disk that nobody looks at any more (`over`), and the story with a copy. So whatever the
engine still does while it winds down is lost, as it is when a process is killed.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

import anyio

from skep.core.fold import FOLD_VERSION
from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import AppendUnknown, Claim, Epoch, Head, LogFull
from skep.runtime.memory import (
    CHECKPOINTS_KEPT,
    AppendFault,
    MemoryCheckpoints,
    MemoryEventLog,
    MemoryKeyring,
    MemoryStorage,
    MemoryStore,
)

#: How long an append takes: long enough for other things to fall into one.
APPEND_S = 0.02

#: Told the name of a mark that was reached.
Note = Callable[[str], None]


class Disk(MemoryStorage):
    """Memory with a disk's faults. `crash` is called when the engine crashes at an append, which takes `append_s`."""

    def __init__(self, random: Random, note: Note, crash: Callable[[], None], *, append_s: float = APPEND_S) -> None:
        super().__init__(draw=random.randbytes, append_s=append_s)
        self.append_s = append_s
        self._random = random
        self._crash = crash
        self.note = note
        self.over = False
        self.full = False
        self.slow_s = 0.0
        #: how many appends and claims failed
        self.failures = 0
        #: whether the next append is the engine's last, and whether it lands
        self.crash_at: Literal["", "before", "after"] = ""

    @property
    def begun(self) -> bool:
        """Whether there is a log."""
        return bool(self._kept)

    def mend(self) -> None:
        """Have no faults any more."""
        self.full, self.slow_s, self.crash_at = False, 0.0, ""
        if self.begun:
            self.log.heal()

    def keep(self, head: Head, state: bytes) -> None:
        """Keep a checkpoint, as a process of its own makes it beside an engine."""
        checkpoints = self._kept[-1].checkpoints._kept  # noqa: SLF001 - the storage and its simulation are one kit
        checkpoints[head.position] = Checkpoint(head.position, head.digest, FOLD_VERSION, state)
        for position in sorted(checkpoints)[:-CHECKPOINTS_KEPT]:
            del checkpoints[position]

    def crashed(self, *, lose_groups: int = 0) -> "Disk":
        """Return the disk as the next engine finds it; this one is over.

        At most `lose_groups` of the newest appends are lost, and none that the anchor knows of.
        """
        other = Disk(self._random, self.note, self._crash, append_s=self.append_s)
        other.full, other.slow_s = self.full, self.slow_s
        other._lines = self._lines
        self.over, kept = True, self._kept[-1]
        records = kept.log._records  # noqa: SLF001 - the storage and its simulation are one kit
        unknown_to_anchor = sum(end > records.anchor.position for end in records.group_ends)
        log = DiskLog(other)
        log._records = records.crashed(min(lose_groups, unknown_to_anchor))  # noqa: SLF001 - likewise
        checkpoints = MemoryCheckpoints()
        # those of lost records are lost, too
        checkpoints._kept = {at: c for at, c in kept.checkpoints._kept.items() if at <= log.end.position}  # noqa: SLF001 - likewise
        keyring = DiskKeyring(other)
        if isinstance(kept.keyring, DiskKeyring):
            keyring.recover(kept.keyring, log.end.position)
        other._kept = [MemoryStore(log, checkpoints, keyring)]
        self.mend()
        return other

    def draw(self, count: int) -> bytes:
        """Draw bytes of which keys are made."""
        return self._random.randbytes(count)

    def _new_log(self) -> "DiskLog":
        return DiskLog(self)

    def _new_keyring(self) -> "DiskKeyring":
        return DiskKeyring(self)


class DiskKeyring(MemoryKeyring):
    """A keyring on a `Disk`: what a crash loses of the log, it loses of what was done to keys since, too."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(draw=disk.draw)
        self._disk = disk
        #: where the log ended when each key that is no more was destroyed
        self._destroyed: dict[str, tuple[Position, bytes]] = {}

    async def destroy(self, key_id: str) -> None:
        """Forget the key, if the disk does not lie."""
        if key_id in self._keys:
            self._destroyed[key_id] = self._disk.log.end.position, self._keys[key_id]
        await super().destroy(key_id)

    def recover(self, other: "DiskKeyring", end: Position) -> None:
        """Have the keys that another one had when the log ended at `end`."""
        lost = {key_id: key for key_id, (at, key) in other._destroyed.items() if at > end}  # noqa: SLF001 - its own kind
        self._keys = other._keys | lost  # noqa: SLF001 - likewise
        self._lock.unlock_key = other._lock.unlock_key  # noqa: SLF001 - likewise


class DiskLog(MemoryEventLog):
    """A log on a `Disk`."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(append_s=disk.append_s)
        self._disk = disk

    def reopened(self) -> "DiskLog":
        """Return another handle on the same records."""
        other = DiskLog(self._disk)
        other._records = self._records
        return other

    async def claim(self) -> Claim:
        """Become the writer, which takes room."""
        if self._disk.full:
            self._disk.failures += 1
            raise LogFull("no room for a claim")
        return await super().claim()

    async def append(self, bodies: Sequence[bytes], *, expected: Position, epoch: Epoch) -> Head:
        """Append, or suffer the disk's fault."""
        disk = self._disk
        if disk.slow_s:
            disk.note("slow-append")
            await anyio.sleep(disk.slow_s)
        if disk.full:
            disk.note("disk-full-refused")
            disk.failures += 1
            self._records.faults.appendleft(AppendFault.FULL)
        elif disk.crash_at == "before":
            disk.note("engine-crashed-before-append-landed")
            disk._crash()  # noqa: SLF001 - the log is a part of its disk
        before = self._records.heads[-1].position
        try:
            head = await super().append(bodies, expected=expected, epoch=epoch)
        except AppendUnknown:
            disk.failures += 1
            landed = self._records.heads[-1].position > before
            disk.note("append-unknown-landed" if landed else "append-unknown-lost")
            raise
        if disk.crash_at == "after":
            disk.note("engine-crashed-after-append-landed")
            disk._crash()  # noqa: SLF001 - the log is a part of its disk
        return head
