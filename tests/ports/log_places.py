"""Logs for the fault tests: filled, copied as a crash would leave them, and damaged."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from skep.model.ids import Position
from skep.ports.event_log import Claim, Head
from skep.testing.log_suite import bodies
from skep_adapters.sqlite import SqliteEventLog

NAME = "cluster.db"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system takes root")


@asynccontextmanager
async def claimed(directory: Path) -> AsyncIterator[tuple[SqliteEventLog, Claim]]:
    """Open and claim the log in `directory`."""
    log = SqliteEventLog(directory / NAME)
    try:
        yield log, await log.claim()
    finally:
        await log.aclose()


async def filled(log: SqliteEventLog, claim: Claim, groups: list[int], *, size: int = 50) -> Head:
    """Append groups of so many records, each of about `size` bytes."""
    head = claim.head
    for count in groups:
        records = [body.ljust(size) for body in bodies(count, start=head.position + 1)]
        head = await log.append(records, expected=head.position, epoch=claim.epoch)
    return head


def crashed(directory: Path, to: Path) -> Path:
    """Copy a log, its writer being idle, to what the disk would hold if its process were killed now."""
    to.mkdir()
    for name in (NAME, f"{NAME}-wal", "anchor.json"):
        if (directory / name).exists():
            shutil.copyfile(directory / name, to / name)
    return to


def listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def wal_of(directory: Path) -> Path:
    return directory / f"{NAME}-wal"


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return the content of all files but the lock's."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.suffix != ".lock"}


@contextmanager
def mounted(directory: Path, *, size: str = "2m") -> Iterator[Path]:
    """Mount a small file system in memory."""
    directory.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def remount(directory: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(directory)], check=True)


def child(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run a Python script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def recorded(log: SqliteEventLog) -> list[bytes]:
    return [record.body for record in await log.read(Position(0), limit=1_000_000)]
