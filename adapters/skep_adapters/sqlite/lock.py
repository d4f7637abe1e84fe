"""A lock file held by one process: `flock`, so that the kernel gives it up when its holder dies, however it dies.

- Within a process the same file may be taken several times; the last release gives it up. Writers of one process are
  told apart by the epoch, not by this lock.
- The file holds the process id of its last holder, for the message only. It is never deleted: a deleted lock file
  could be locked twice.
- A child made by `fork` without `exec` shares its parent's hold; skep makes none.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Self

from skep.ports.event_log import LogLocked

from skep_adapters.sqlite.files import FILE_MODE, failed

#: Someone who only asks whether the lock is held (`is_held`) has it for an instant; so a refusal is asked again.
ATTEMPTS = 4
PAUSE_S = 0.01


class ProcessLock:
    """A hold on a lock file by this process. Made by `acquire`."""

    #: Who holds what in this process, by device and inode: `flock` alone would refuse our own second hold.
    _held: dict[tuple[int, int], tuple[int, int]] = {}  # noqa: RUF012 - a process has one table of its locks

    def __init__(self, key: tuple[int, int]) -> None:
        self._key: tuple[int, int] | None = key

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock, making the file if need be.

        Raises:
            LogLocked: another process has it; the message names the file and the process.
            LogError: the file cannot be made or opened.
        """
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise failed("open the lock file", path, error) from error
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if key in cls._held:
            os.close(descriptor)
            kept, count = cls._held[key]
            cls._held[key] = (kept, count + 1)
            return cls(key)
        if not _locked(descriptor):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise LogLocked(f"{path} is held by another process{f' (pid {holder})' if holder else ''}")
        with contextlib.suppress(OSError):  # the id is for the message only; a full disk must not keep us out
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        cls._held[key] = (descriptor, 1)
        return cls(key)

    @classmethod
    def is_held(cls, path: Path) -> bool:
        """Return whether some process, this one included, has the lock. Changes nothing on the disk."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in cls._held:
                return True
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def holds(self) -> int:
        """How many holds this process has on the file."""
        return self._held[self._key][1] if self._key is not None else 0

    def release(self) -> None:
        """Give up this hold. Idempotent."""
        if self._key is None:
            return
        descriptor, count = self._held.pop(self._key)
        if count > 1:
            self._held[self._key] = (descriptor, count - 1)
        else:
            os.close(descriptor)
        self._key = None


def _locked(descriptor: int) -> bool:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False
