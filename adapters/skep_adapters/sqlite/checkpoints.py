"""Checkpoints as files, `<position>.ckpt`: a magic word, a digest over the rest, a short header, the body."""

import contextlib
import hashlib
import struct
from pathlib import Path

import anyio
import msgspec
from skep.model.ids import Position
from skep.ports.checkpoints import Checkpoint
from skep.ports.event_log import LogError

from skep_adapters.sqlite.files import UNFINISHED, failed, make_directory, replace_durably

#: The newest, and one more in case it is damaged.
KEPT = 2

MAGIC = b"SKEPCKP1"
DIGEST_BYTES = 32
SUFFIX = ".ckpt"

_LENGTH = struct.Struct(">I")
_FIXED_BYTES = len(MAGIC) + DIGEST_BYTES + _LENGTH.size


class _Header(msgspec.Struct, frozen=True):
    fold_version: str
    position: int
    digest: str


class FileCheckpoints:
    """`Checkpoints` in the directory `directory`, made at the first save. Files are read and written in a thread."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self._directory = directory
        self._read_only = read_only

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep it and the newest before it.

        Raises:
            LogFull: no room; those kept before still are.
            LogError: it cannot be written.
        """
        if self._read_only:
            raise LogError(f"{self._directory} is open for reading only")
        await anyio.to_thread.run_sync(self._save, checkpoint)

    async def latest(self, *, fold_version: str) -> Checkpoint | None:
        """Return the newest of this version that is whole."""
        return await anyio.to_thread.run_sync(self._latest, fold_version)

    async def positions(self) -> list[Position]:
        """Return the positions of all files, whole or not, oldest first."""
        return await anyio.to_thread.run_sync(self._positions)

    async def load(self, position: Position) -> Checkpoint | None:
        """Return the one at `position`, or None if it is missing or damaged."""
        return await anyio.to_thread.run_sync(self._load, position)

    def _path(self, position: Position) -> Path:
        return self._directory / f"{position:020}{SUFFIX}"

    def _save(self, checkpoint: Checkpoint) -> None:
        make_directory(self._directory)
        fields = _Header(checkpoint.fold_version, checkpoint.position, checkpoint.digest.hex())
        header = msgspec.json.encode(fields)
        length = _LENGTH.pack(len(header))
        check = _check(length, header, checkpoint.body)
        replace_durably(self._path(checkpoint.position), MAGIC, check, length, header, checkpoint.body)
        for position in self._positions()[:-KEPT]:
            with contextlib.suppress(OSError):  # the next save tries again
                self._path(position).unlink()
        for path in self._directory.glob(f"*{UNFINISHED}"):
            if path.name < self._path(checkpoint.position).name:  # a save before this one was cut short
                path.unlink(missing_ok=True)

    def _latest(self, fold_version: str) -> Checkpoint | None:
        for position in reversed(self._positions()):
            checkpoint = self._load(position)
            if checkpoint is not None and checkpoint.fold_version == fold_version:
                return checkpoint
        return None

    def _positions(self) -> list[Position]:
        try:
            names = [path.stem for path in self._directory.iterdir() if path.suffix == SUFFIX]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failed("read", self._directory, error) from error
        return sorted(Position(int(name)) for name in names if name.isdecimal())

    def _load(self, position: Position) -> Checkpoint | None:
        try:
            content = self._path(position).read_bytes()
        except OSError:
            return None  # losing one costs time, never truth
        if len(content) < _FIXED_BYTES or not content.startswith(MAGIC):
            return None
        rest = memoryview(content)[len(MAGIC) + DIGEST_BYTES :]
        if _check(rest) != content[len(MAGIC) : len(MAGIC) + DIGEST_BYTES]:
            return None
        (header_bytes,) = _LENGTH.unpack_from(rest)
        body_start = _LENGTH.size + header_bytes
        header = msgspec.json.decode(rest[_LENGTH.size : body_start], type=_Header)
        if header.position != position:
            return None  # renamed by hand
        return Checkpoint(position, bytes.fromhex(header.digest), header.fold_version, bytes(rest[body_start:]))


def _check(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
