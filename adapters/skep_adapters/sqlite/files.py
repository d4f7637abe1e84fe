"""Files: made, written and replaced so that they are whole after a crash, and private to their owner.

Every failure of the operating system becomes a `LogError`, or `LogFull` where there is no room, that names the path.
"""

import errno
import os
from pathlib import Path

from skep.ports.event_log import LogError, LogFull

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

#: How files end that a crash kept from taking their proper name.
UNFINISHED = ".new"

#: What the operating system says when there is no room: on the disk, in the quota, under the file size limit.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def failed(doing: str, path: Path, error: OSError) -> LogError:
    """Return the error to raise when `doing` something with `path` failed."""
    kind = LogFull if error.errno in NO_ROOM else LogError
    return kind(f"cannot {doing} {path}: {error.strerror or error}")


def make_directory(path: Path) -> None:
    """Make `path` and its parents, 0700, durably; leave those that exist as they are."""
    try:
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(DIRECTORY_MODE, exist_ok=True)
            sync_directory(each.parent)
        if not path.is_dir():
            raise LogError(f"cannot use {path} as a directory: it is a file")
    except OSError as error:
        raise failed("make the directory", path, error) from error


def make_file(path: Path) -> None:
    """Make an empty file, 0600, unless it exists; durable with its first synced content."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
        sync_directory(path.parent)
    except OSError as error:
        raise failed("open for writing", path, error) from error


def replace_durably(path: Path, *parts: bytes) -> None:
    """Make `path` hold `parts`, all or nothing; what stood there is kept if this fails."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        try:
            descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise failed("write", path, error) from error


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
