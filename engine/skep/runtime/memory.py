"""The ports of storage in memory: for simulation, tests and engines that need not outlive their process.

- No threads, no clock, no disk: everything runs in a loop of virtual time, and every call yields to it once.
- What is kept outlives its handles: `MemoryStorage.latest()` opens a new handle on the same records, and the handle of
  an engine that "crashed" before is fenced by its epoch, as on a real disk.
- Faults are part of it: appends that find no room, appends whose outcome is unknown, and crashes that lose the end.
"""

import enum
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from typing import Self

import anyio
from anyio.lowlevel import checkpoint as yield_once

from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import (
    GENESIS,
    AppendUnknown,
    Claim,
    Conflict,
    Epoch,
    Head,
    LogDamaged,
    LogFull,
    Recorded,
    chained,
    storable,
)
from skep.ports.keyring import KeyringLocked, WrongUnlockKey
from skep.runtime.memory_lines import MemoryLineStore

#: As the files' implementation: the newest, and one more in case it is damaged.
CHECKPOINTS_KEPT = 2

KEY_BYTES = 32


class AppendFault(enum.Enum):
    """How the next append fails."""

    FULL = "no room"
    """`LogFull`; nothing is written."""
    UNKNOWN_LANDED = "unknown, and it happened"
    """`AppendUnknown`; the records are there after the next claim."""
    UNKNOWN_LOST = "unknown, and it did not happen"
    """`AppendUnknown`; the records are not there."""


class _Records:
    """What is on the imagined disk of one log; handles share it."""

    def __init__(self) -> None:
        self.heads: list[Head] = [Head(Position(0), GENESIS)]
        self.bodies: list[bytes] = []
        self.group_ends: list[Position] = []
        self.anchor = self.heads[0]
        self.epoch = Epoch(0)
        self.faults: deque[AppendFault] = deque()
        self.grown = anyio.Event()

    def land(self, bodies: Sequence[bytes]) -> Head:
        for body in bodies:
            head = self.heads[-1]
            self.heads.append(Head(Position(head.position + 1), chained(head.digest, body)))
            self.bodies.append(body)
        self.group_ends.append(self.heads[-1].position)
        grown, self.grown = self.grown, anyio.Event()
        grown.set()
        return self.heads[-1]

    def crashed(self, lose_groups: int) -> "_Records":
        kept = _Records()
        kept.group_ends = self.group_ends[: max(0, len(self.group_ends) - lose_groups)]
        end = kept.group_ends[-1] if kept.group_ends else 0
        kept.bodies = self.bodies[:end]
        kept.heads = self.heads[: end + 1]
        kept.anchor, kept.epoch = self.anchor, self.epoch
        return kept


class MemoryEventLog:
    """An `EventLog` in memory. `append_s` is how long an append takes by the loop's time."""

    def __init__(self, *, append_s: float = 0.0) -> None:
        self.append_s = append_s
        self._records = _Records()
        self._epoch: Epoch | None = None
        self._known = False  # whether what became of the last append is known
        self._turn = anyio.Lock(fast_acquire=True)

    def reopened(self) -> "MemoryEventLog":
        """Return another handle on the same records, as a second process would open."""
        other = MemoryEventLog(append_s=self.append_s)
        other._records = self._records
        return other

    def fail_next(self, fault: AppendFault, *, times: int = 1) -> None:
        """Make the next `times` appends fail so, after those already asked to fail."""
        self._records.faults.extend([fault] * times)

    def heal(self) -> None:
        """Forget the faults still to come."""
        self._records.faults.clear()

    def crash(self, *, lose_groups: int = 0) -> "MemoryEventLog":
        """Return a new log that holds what this one did, but for the last `lose_groups` appends.

        An answered append is durable, so to lose one models a disk that lied; the anchor, if moved since, tells.
        """
        other = MemoryEventLog(append_s=self.append_s)
        other._records = self._records.crashed(lose_groups)
        return other

    @property
    def end(self) -> Head:
        """The end, at once."""
        return self._records.heads[-1]

    async def claim(self) -> Claim:
        """Become the writer; any earlier claim on the same records is fenced."""
        await yield_once()
        async with self._turn:
            records = self._records
            end, anchor = records.heads[-1], records.anchor
            if end.position < anchor.position:
                lost = f"the log ends at position {end.position}, but is known to have reached {anchor.position}"
                raise LogDamaged(lost, position=end.position)
            if records.heads[anchor.position].digest != anchor.digest:
                raise LogDamaged(f"position {anchor.position} is not the record that was written there", position=0)
            records.epoch = self._epoch = Epoch(records.epoch + 1)
            self._known = True
            return Claim(self._epoch, end)

    async def append(self, bodies: Sequence[bytes], *, expected: Position, epoch: Epoch) -> Head:
        """Append, or fail as `fail_next` said."""
        storable(bodies)
        async with self._turn:
            if epoch != self._epoch:
                raise Conflict(f"epoch {epoch} is not the last claimed")
            if not self._known:
                raise Conflict("what became of an append before is not known; claim again")
            end = self._records.heads[-1].position
            if epoch == self._records.epoch and expected != end:
                raise Conflict(f"the log ends at position {end}, not {expected}")
            self._known = False
            await (anyio.sleep(self.append_s) if self.append_s else yield_once())
            head = self._landed(bodies, epoch)
            self._known = True
            return head

    def _landed(self, bodies: Sequence[bytes], epoch: Epoch) -> Head:
        records = self._records
        if epoch != records.epoch:
            raise Conflict(f"somebody claimed after epoch {epoch}; nothing of ours was written")
        match records.faults.popleft() if records.faults else None:
            case AppendFault.FULL:
                self._known = True
                raise LogFull("no room; nothing was written")
            case AppendFault.UNKNOWN_LANDED:
                records.land(bodies)
                raise AppendUnknown("whether the append happened is not known")
            case AppendFault.UNKNOWN_LOST:
                raise AppendUnknown("whether the append happened is not known")
        return records.land(bodies)

    async def read(self, after: Position, *, limit: int) -> Sequence[Recorded]:
        """Return what follows `after`."""
        await yield_once()
        bodies = self._records.bodies[after : after + max(0, limit)]
        return [Recorded(Position(after + 1 + index), body) for index, body in enumerate(bodies)]

    async def follow(self, after: Position) -> AsyncIterator[Recorded]:
        """Yield what follows `after`, and each new record as it lands."""
        while True:
            grown = self._records.grown
            for record in await self.read(after, limit=128):
                yield record
                after = record.position
            if after >= self._records.heads[-1].position:
                await grown.wait()

    async def head(self) -> Head:
        """Return the end."""
        await yield_once()
        return self.end

    async def verify(self) -> Head:
        """Return the end; memory keeps what it was given."""
        return await self.head()

    async def aclose(self) -> None:
        """Give up the claim; the records stay, for whoever claims next."""
        self._epoch = None


class MemoryCheckpoints:
    """`Checkpoints` in memory."""

    def __init__(self) -> None:
        self._kept: dict[Position, Checkpoint] = {}

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep it and the newest before it."""
        await yield_once()
        self._kept[checkpoint.position] = checkpoint
        for position in sorted(self._kept)[:-CHECKPOINTS_KEPT]:
            del self._kept[position]

    async def latest(self, *, fold_version: str) -> Checkpoint | None:
        """Return the newest of this version."""
        await yield_once()
        usable = [position for position, kept in self._kept.items() if kept.fold_version == fold_version]
        return self._kept[max(usable)] if usable else None

    async def positions(self) -> list[Position]:
        """Return the positions kept, oldest first."""
        await yield_once()
        return sorted(self._kept)

    async def load(self, position: Position) -> Checkpoint | None:
        """Return the one at `position`."""
        await yield_once()
        return self._kept.get(position)


class _MemoryLock:
    """What a keyring in memory is locked with; its handles share it."""

    def __init__(self) -> None:
        self.unlock_key: bytes | None = None


class MemoryKeyring:
    """A `Keyring` in memory. `draw(n)` gives n random bytes; a simulation passes a seeded source."""

    def __init__(self, *, draw: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._draw = draw
        self._keys: dict[str, bytes] = {}
        self._lock = _MemoryLock()
        #: with which unlock key this handle was opened
        self._known: bytes | None = None

    def reopened(self) -> Self:
        """Return another handle on the same keys, which knows no unlock key."""
        other = copy(self)
        other._known = None  # noqa: SLF001 - its own kind
        return other

    async def create(self, key_id: str) -> bytes:
        """Draw a key unless there is one."""
        await self._begin()
        if key_id not in self._keys:
            self._keys[key_id] = self._draw(KEY_BYTES)
        return self._keys[key_id]

    async def get(self, key_id: str) -> bytes | None:
        """Return the key, if kept."""
        await self._begin()
        return self._keys.get(key_id)

    async def destroy(self, key_id: str) -> None:
        """Forget the key."""
        await self._begin()
        self._keys.pop(key_id, None)

    async def key_ids(self) -> list[str]:
        """Return the names kept, sorted."""
        await self._begin()
        return sorted(self._keys)

    async def locked(self) -> bool:
        """Return whether this handle waits for the unlock key."""
        await yield_once()
        return self._lock.unlock_key != self._known

    async def unlock(self, unlock_key: bytes) -> None:
        """Open this handle."""
        await yield_once()
        if self._lock.unlock_key not in (None, unlock_key):
            raise WrongUnlockKey
        self._known = self._lock.unlock_key

    async def lock_with(self, unlock_key: bytes | None) -> None:
        """Remember what it is locked with."""
        await self._begin()
        self._known = self._lock.unlock_key = unlock_key

    async def aclose(self) -> None:
        """Do nothing; the keys stay with the storage."""

    async def _begin(self) -> None:
        await yield_once()
        if self._lock.unlock_key != self._known:
            raise KeyringLocked


class MemoryStore:
    """A `Store` in memory: a handle on what `MemoryStorage` keeps."""

    def __init__(self, log: MemoryEventLog, checkpoints: MemoryCheckpoints, keyring: MemoryKeyring) -> None:
        self._log = log
        self._checkpoints = checkpoints
        self._keyring = keyring

    @property
    def log(self) -> MemoryEventLog:
        """Its log."""
        return self._log

    @property
    def checkpoints(self) -> MemoryCheckpoints:
        """Its checkpoints."""
        return self._checkpoints

    @property
    def keyring(self) -> MemoryKeyring:
        """Its keys."""
        return self._keyring

    async def anchor(self, head: Head) -> None:
        """Note `head`; an older one than noted is ignored."""
        await yield_once()
        records = self._log._records  # noqa: SLF001 - the store and its log are one concept in two types
        records.anchor = max(records.anchor, head, key=lambda each: each.position)

    async def make_checkpoint(self, head: Head) -> None:
        """Do nothing: what is in memory never outlives a process that would fold it."""

    async def aclose(self) -> None:
        """Give up the claim."""
        await self._log.aclose()


class MemoryStorage:
    """A `Storage` in memory; what it keeps outlives the stores that it hands out."""

    def __init__(self, *, draw: Callable[[int], bytes] = secrets.token_bytes, append_s: float = 0.0) -> None:
        self._draw = draw
        self._append_s = append_s
        self._kept: list[MemoryStore] = []
        self._lines = MemoryLineStore()

    @property
    def log(self) -> MemoryEventLog:
        """The newest swarm's log, never claimed: where a test asks for faults and looks at what is kept."""
        return self._kept[-1].log

    async def latest(self) -> MemoryStore | None:
        """Open the newest swarm anew."""
        await yield_once()
        if not self._kept:
            return None
        kept = self._kept[-1]
        return MemoryStore(kept.log.reopened(), kept.checkpoints, kept.keyring.reopened())

    async def begin(self) -> MemoryStore:
        """Begin an empty one."""
        self._kept.append(MemoryStore(self._new_log(), MemoryCheckpoints(), self._new_keyring()))
        store = await self.latest()
        assert store is not None  # noqa: S101 - appended above
        return store

    def _new_log(self) -> MemoryEventLog:
        """Return an empty log. A simulation has one of its own."""
        return MemoryEventLog(append_s=self._append_s)

    def _new_keyring(self) -> MemoryKeyring:
        """Return an empty keyring. A simulation has one of its own."""
        return MemoryKeyring(draw=self._draw)

    def lines(self) -> MemoryLineStore:
        """Return the lines of the agents of this process."""
        return self._lines

    def crash(self, *, lose_groups: int = 0) -> "MemoryStorage":
        """Return a storage as after a crash, without the newest log's last `lose_groups` appends; this one is over."""
        other = MemoryStorage(draw=self._draw, append_s=self._append_s)
        other._lines = self._lines
        other._kept = list(self._kept)
        if self._kept:
            kept = self._kept[-1]
            other._kept[-1] = MemoryStore(kept.log.crash(lose_groups=lose_groups), kept.checkpoints, kept.keyring)
        return other
