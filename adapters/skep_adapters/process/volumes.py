"""Volumes in a directory: one folder each, with what is known of it in `volume.json` and what it holds in `_data`.

- a volume appears and goes whole: it is made, and removed, under a name that no volume has, which begins with a dot;
- who uses a volume is known in memory only: no task outlives the process that has it;
- anonymous volumes that tasks made go with the task, or else when the directory is opened the next time;
- the nodes of one daemon are on one machine, and share its volumes as they share its disk.
"""

import asyncio
import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
from msgspec import Struct
from skep.model.ids import Instant
from skep.ports.volumes import ANONYMOUS, NoSuchVolume, Volume, VolumeInUse, VolumeRefused

from skep_adapters.process.private_files import remove_tree
from skep_adapters.process.users import Account

P = ParamSpec("P")
T = TypeVar("T")

#: Names are folders, which may have 255 bytes.
NAME_CHARS_MAX = 255

#: Each is a folder to look at in every list.
VOLUMES_MAX = 10_000

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class _Kept(Struct, frozen=True, omit_defaults=True):
    """What is kept of a volume. `task_id` is of the task that it goes with."""

    created_at: Instant
    labels: dict[str, str] = {}
    task_id: str = ""


class DirectoryVolumes:
    """Implements `skep.ports.volumes.Volumes`, and holds volumes for tasks."""

    def __init__(self, path: Path, *, now: Callable[[], int] = time.time_ns) -> None:
        self._path = path.absolute()
        self._now = now
        self._users: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._opened = False

    async def create(self, name: str, labels: Mapping[str, str]) -> Volume:
        """Return the volume of that name, made if there is none; without a name a new one."""
        return await asyncio.to_thread(self._locked, self._create, name, labels, None, "")

    async def find(self, name: str) -> Volume:
        """Return the volume of that name."""
        return await asyncio.to_thread(self._locked, self._find, name)

    async def all(self) -> Sequence[Volume]:
        """Return all, by name."""
        return await asyncio.to_thread(self._locked, self._all)

    async def size(self, name: str) -> int:
        """Return how many bytes it takes, without those of files that go meanwhile."""
        return await asyncio.to_thread(_size, self._path / name)

    async def remove(self, name: str) -> None:
        """Remove it: at once for everybody else, and from the disk when this returns."""
        gone = await asyncio.to_thread(self._locked, self._take_away, name)
        await asyncio.to_thread(remove_tree, gone)

    async def hold(
        self, name: str, user: str, *, labels: Mapping[str, str], account: Account | None, task_id: str
    ) -> Volume:
        """Return a volume that `user`, a container, uses until it is released; one that is made is the account's.

        Raises:
            VolumeRefused: it is no name for one, or there are too many.
        """

        def holding() -> Volume:
            volume = self._create(name, labels, account, "" if name else task_id)
            self._users.setdefault(volume.name, set()).add(user)
            return volume

        return await asyncio.to_thread(self._locked, holding)

    async def release(self, user: str) -> None:
        """Let `user` use none any more; those that were its task's own go. Idempotent."""

        def releasing() -> list[Path]:
            had = [name for name, users in self._users.items() if user in users]
            for name in had:
                self._users[name].discard(user)
            own = [name for name in had if (kept := self._kept(name)) is not None and kept.task_id]
            return [self._take_away(name) for name in own if not self._users[name]]

        for gone in await asyncio.to_thread(self._locked, releasing):
            await asyncio.to_thread(remove_tree, gone)

    def _locked(self, do: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        with self._lock:
            if not self._opened:
                self._open()
            return do(*args, **options)

    def _open(self) -> None:
        """Make the directory, and remove what an earlier life was making or removing, or had for its tasks."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o711)
        for path in self._path.iterdir():
            kept = self._kept(path.name)
            if path.name.startswith(".") or (kept is not None and kept.task_id):
                remove_tree(path)
        self._opened = True

    def _create(self, name: str, labels: Mapping[str, str], account: Account | None, task_id: str) -> Volume:
        if name:
            _check_name(name)
            if self._kept(name) is not None:
                return self._find(name)
        else:
            name, labels = secrets.token_hex(32), {**labels, ANONYMOUS: ""}
        if len(os.listdir(self._path)) >= VOLUMES_MAX:  # noqa: PTH208  # the number is wanted, not the paths
            raise VolumeRefused(f"there are {VOLUMES_MAX} volumes already, and no more can be made: remove some")
        new = self._path / f".new-{secrets.token_hex(8)}"
        data = new / "_data"
        data.mkdir(parents=True)
        data.chmod(0o755)
        if account is not None and account.change:
            os.chown(data, account.uid, account.gid)
        with (new / "volume.json").open("wb") as file:
            file.write(msgspec.json.encode(_Kept(Instant(self._now()), dict(labels), task_id)))
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._path / name)
        return self._find(name)

    def _find(self, name: str) -> Volume:
        kept = self._kept(name)
        if kept is None:
            raise NoSuchVolume(f"get {name}: no such volume")
        users = tuple(sorted(self._users.get(name, ())))
        return Volume(name, kept.created_at, str(self._path / name / "_data"), kept.labels, users)

    def _kept(self, name: str) -> _Kept | None:
        if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
            return None
        try:
            return msgspec.json.decode((self._path / name / "volume.json").read_bytes(), type=_Kept)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None

    def _all(self) -> list[Volume]:
        found = []
        for name in sorted(os.listdir(self._path)):  # noqa: PTH208  # as in `_create`
            with contextlib.suppress(NoSuchVolume):
                found.append(self._find(name))
        return found

    def _take_away(self, name: str) -> Path:
        volume = self._find(name)
        if volume.users:
            raise VolumeInUse(f"remove {name}: volume is in use - [{', '.join(volume.users)}]")
        self._users.pop(name, None)
        gone = self._path / f".gone-{secrets.token_hex(8)}"
        (self._path / name).rename(gone)
        return gone


def _check_name(name: str) -> None:
    if len(name) == 1:
        raise VolumeRefused("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        raise VolumeRefused(
            f'create {name[:NAME_CHARS_MAX]}: "{name[:NAME_CHARS_MAX]}" includes invalid characters for a local volume '
            'name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use '
            "absolute path"
        )


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118  # for each file
    return total
