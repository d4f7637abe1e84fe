"""A data directory: the swarms of one manager, one after another, and the lines of its agents.

DIR/lock                       held by the one process that writes
DIR/swarms/000001/cluster.db   the log, and beside it its lock file
DIR/swarms/000001/anchor.json
DIR/swarms/000001/keyring.db
DIR/swarms/000001/checkpoints/
DIR/lines.db                   what tasks print
"""

from pathlib import Path

import anyio
import structlog
from skep.ports.event_log import Head, LogError

from skep_adapters.sqlite.anchor import read_anchor, write_anchor
from skep_adapters.sqlite.checkpointing import checkpoint_elsewhere
from skep_adapters.sqlite.checkpoints import FileCheckpoints
from skep_adapters.sqlite.event_log import SqliteEventLog
from skep_adapters.sqlite.files import failed, make_directory
from skep_adapters.sqlite.keyring import SqliteKeyring
from skep_adapters.sqlite.lines import SqliteLineStore
from skep_adapters.sqlite.lock import ProcessLock

NUMBER_DIGITS = 6

_LOG = structlog.get_logger()


class SqliteStore:
    """What one swarm keeps, in the directory `directory`. Made by `SqliteStorage`."""

    def __init__(self, directory: Path, *, lock: ProcessLock | None) -> None:
        self._directory = directory
        self._lock = lock
        read_only = lock is None
        self._log = SqliteEventLog(directory / "cluster.db", anchor=directory / "anchor.json", read_only=read_only)
        self._checkpoints = FileCheckpoints(directory / "checkpoints", read_only=read_only)
        self._keyring = SqliteKeyring(directory / "keyring.db", read_only=read_only)
        self._anchoring = anyio.Lock(fast_acquire=True)

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self._directory

    @property
    def log(self) -> SqliteEventLog:
        """Its log."""
        return self._log

    @property
    def checkpoints(self) -> FileCheckpoints:
        """Its checkpoints."""
        return self._checkpoints

    @property
    def keyring(self) -> SqliteKeyring:
        """Its keys."""
        return self._keyring

    async def anchor(self, head: Head) -> None:
        """Note `head` durably; an older one than noted is ignored.

        Raises:
            LogFull: no room; what was noted before still is.
            LogError: it cannot be written.
        """
        if self._lock is None:
            raise LogError(f"{self._directory} is open for reading only")
        async with self._anchoring:
            await anyio.to_thread.run_sync(self._anchor, head)

    def _anchor(self, head: Head) -> None:
        path = self._directory / "anchor.json"
        if read_anchor(path).position <= head.position:
            write_anchor(path, head)

    async def make_checkpoint(self, head: Head) -> None:
        """Have another process fold and save, then move the anchor; a failure is a line in the program's own log."""
        try:
            failure = await checkpoint_elsewhere(self._directory, head)
            if not failure:
                await self.anchor(head)
        except (LogError, OSError) as error:
            failure = str(error)
        if failure:
            _LOG.warning("no checkpoint was made; the next start folds more", position=head.position, reason=failure)

    async def aclose(self) -> None:
        """Close log and keyring, then give up the directory."""
        try:
            await self._log.aclose()
            await self._keyring.aclose()
        finally:
            if self._lock is not None:
                self._lock.release()


class SqliteStorage:
    """A `Storage` in `directory`, made with the first swarm.

    `read_only` opens it strictly for reading, also while a writer runs: claims, saves and new keys are refused.
    """

    def __init__(self, directory: Path | str, *, read_only: bool = False) -> None:
        self._directory = Path(directory)
        self._read_only = read_only

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self._directory

    async def latest(self) -> SqliteStore | None:
        """Open the newest swarm; its log is looked at when it is claimed."""
        numbers = await anyio.to_thread.run_sync(self.numbers)
        return self._open(numbers[-1]) if numbers else None

    async def begin(self) -> SqliteStore:
        """Open the next number, taking the directory first."""
        if self._read_only:
            raise LogError(f"{self._directory} is open for reading only")
        lock = self._locked()
        try:
            numbers = await anyio.to_thread.run_sync(self.numbers)
            number = numbers[-1] + 1 if numbers else 1
            await anyio.to_thread.run_sync(make_directory, self._path(number))
            return self._open(number)
        finally:
            lock.release()

    async def open(self, number: int) -> SqliteStore | None:
        """Open the swarm of this number, or return None if there is none."""
        numbers = await anyio.to_thread.run_sync(self.numbers)
        return self._open(number) if number in numbers else None

    def numbers(self) -> list[int]:
        """Return the numbers of all swarms kept, oldest first. Looks at the disk."""
        try:
            return sorted(int(each.name) for each in (self._directory / "swarms").iterdir() if each.name.isdecimal())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failed("read", self._directory / "swarms", error) from error

    def lines(self) -> SqliteLineStore:
        """Return the lines of this directory's agents: one object for all of the process, closed by the caller."""
        return SqliteLineStore(self._directory / "lines.db", lock=self._directory / "lock", read_only=self._read_only)

    def _path(self, number: int) -> Path:
        return self._directory / "swarms" / f"{number:0{NUMBER_DIGITS}}"

    def _locked(self) -> ProcessLock:
        make_directory(self._directory)
        return ProcessLock.acquire(self._directory / "lock")

    def _open(self, number: int) -> SqliteStore:
        return SqliteStore(self._path(number), lock=None if self._read_only else self._locked())
