"""What a crash left in the write-ahead log, read before SQLite opens it.

SQLite takes the frames of a WAL up to the first that does not check, and drops the rest without a word: right for a
torn end, wrong for one flipped bit in the middle, which would take every later commit with it. So we walk the frames
as SQLite does (https://www.sqlite.org/fileformat2.html#walformat) and then look behind the end:

- a frame there that checks, from the checksum that the frame before it stores, was written after the bad one, so the
  bad one was whole once: damage;
- frames of other salts are leftovers of an earlier generation, and normal;
- anything else is the torn end of the last transaction, which nobody was told about.

Not to be told apart by these rules: a torn and a flipped *last* frame (it is reported as dropped, and the anchor tells
if it was known), and a power cut that wrote the last transaction's pages out of order (refused as damage, unless
the missing frame plainly never was written). Nothing is modified here.
"""

import contextlib
import sqlite3
import struct
import tempfile
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

from skep.ports.event_log import GENESIS, LogDamaged, LogError, chained

from skep_adapters.sqlite.files import failed

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
MAGIC = 0x377F0682  # and with the lowest bit set where checksums are over big-endian words
FORMAT = 3_007_000
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 512, 65536
WORD = 0xFFFFFFFF

#: Where the database file says its page size; 1 stands for 65,536.
PAGE_SIZE_OFFSET = 16

Checksum = tuple[int, int]


class Header(NamedTuple):
    """What a WAL begins with."""

    magic: int
    format: int
    page_bytes: int
    generation: int
    salts: tuple[int, int]
    stored: Checksum
    computed: Checksum

    @property
    def whole(self) -> bool:
        """Whether SQLite would take it."""
        size = self.page_bytes
        sane = PAGE_BYTES_MIN <= size <= PAGE_BYTES_MAX and not size & (size - 1)
        return self.magic & ~1 == MAGIC and sane and self.format == FORMAT and self.stored == self.computed


class Frame(NamedTuple):
    """A page in a WAL. `pages_after` is not 0 where a transaction ends."""

    page: int
    pages_after: int
    salts: tuple[int, int]
    stored: Checksum


def checksum(content: memoryview, seed: Checksum, *, big: bool) -> Checksum:
    """Return SQLite's running checksum of `content`, whose length is a multiple of 8, begun at `seed`."""
    first, second = seed
    for word in struct.unpack(f"{'>' if big else '<'}{len(content) // 4}I", content):
        first, second = second, (first + second + word) & WORD
    return first, second


class Wal:
    """The content of a WAL file, frame by frame."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        magic, version, page_bytes, generation, salt, other_salt, *stored = struct.unpack_from(">8I", content)
        self.big = bool(magic & 1)
        computed = checksum(self._content[:24], (0, 0), big=self.big)
        before = (stored[0], stored[1])
        self.header = Header(magic, version, page_bytes, generation, (salt, other_salt), before, computed)
        self.page_bytes = self.header.page_bytes

    @property
    def frames(self) -> int:
        """How many whole frames would fit in the file."""
        return (len(self._content) - HEADER_BYTES) // (FRAME_HEADER_BYTES + self.page_bytes)

    def end_of(self, frames: int) -> int:
        """Return where `frames` frames end, in bytes."""
        return HEADER_BYTES + frames * (FRAME_HEADER_BYTES + self.page_bytes)

    def frame(self, index: int) -> Frame:
        """Return the frame's header; the last one may be cut short of its page."""
        page, pages_after, *rest = struct.unpack_from(">6I", self._content, self.end_of(index))
        return Frame(page, pages_after, (rest[0], rest[1]), (rest[2], rest[3]))

    def computed(self, index: int, seed: Checksum) -> Checksum:
        """Return the checksum of a whole frame, given that of the frame before it."""
        start = self.end_of(index)
        seed = checksum(self._content[start : start + 8], seed, big=self.big)
        return checksum(self._content[start + FRAME_HEADER_BYTES : self.end_of(index + 1)], seed, big=self.big)

    def walked(self) -> tuple[int, int, Checksum]:
        """Return how many frames SQLite would take, how many of them are committed, and the checksum at the end."""
        taken, committed, seed = 0, 0, self.header.stored
        while taken < self.frames:
            frame = self.frame(taken)
            if not frame.page or frame.salts != self.header.salts:
                break
            computed = self.computed(taken, seed)
            if computed != frame.stored:
                break
            taken, seed = taken + 1, computed
            committed = taken if frame.pages_after else committed
        return taken, committed, seed

    def follows(self, index: int, *seeds: Checksum) -> bool:
        """Return whether a frame checks, from the checksum stored before it or else one of `seeds`."""
        frame = self.frame(index)
        before = self.frame(index - 1).stored if index else self.header.stored
        return bool(frame.page) and any(self.computed(index, seed) == frame.stored for seed in (before, *seeds))


def survey(path: Path) -> str:
    """Look at the WAL of the database at `path`; return what SQLite will drop, in words, empty if nothing.

    Raises:
        LogDamaged: it would drop what was committed; `position` is the last that it would keep.
        LogError: the WAL cannot be read.
    """
    wal_path = path.with_name(f"{path.name}-wal")
    try:
        content = wal_path.read_bytes()
        database_bytes = path.stat().st_size if path.exists() else 0
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise failed("read", wal_path, error) from error
    if len(content) <= HEADER_BYTES:
        return ""
    if not database_bytes:
        raise LogDamaged(f"{path} is missing or empty, but has a WAL of {len(content)} bytes", position=0)
    wal = Wal(content)
    if not wal.header.whole:
        return _survey_headless(path, wal_path, content)
    taken, committed, seed = wal.walked()
    if damage := _damage(wal, taken, seed):
        good = good_position(path, content[: wal.end_of(committed)])
        raise LogDamaged(f"{wal_path}: {damage}; the log is good up to position {good}", position=good)
    return _torn(wal_path, wal, taken, committed, len(content))


def _damage(wal: Wal, taken: int, seed: Checksum) -> str:
    """Return what is wrong with the frame at which SQLite would stop, empty if it is a proper end."""
    if taken >= wal.frames:
        return ""
    end, salts = wal.frame(taken), wal.header.salts
    # Of a frame that never reached the disk we see zeros or an earlier generation, of which both salts differ.
    unwritten = end.salts == (0, 0) or (end.salts[0] != salts[0] and end.salts[1] != salts[1])
    committed = False
    for index in range(taken + 1, wal.frames):
        frame = wal.frame(index)
        if frame.salts != salts:
            continue
        seeds = [wal.computed(taken, seed)] if index == taken + 1 else []
        if wal.follows(index, *seeds):
            if not unwritten or committed:
                return f"frame {taken + 1} of {wal.frames} is damaged, and frame {index + 1} was written after it"
            committed = bool(frame.pages_after)  # the next one would be of a later transaction: this one was synced
    return ""


def _torn(wal_path: Path, wal: Wal, taken: int, committed: int, content_bytes: int) -> str:
    torn = False
    if content_bytes - wal.end_of(taken) >= FRAME_HEADER_BYTES:
        salts = wal.frame(taken).salts
        torn = salts[0] == wal.header.salts[0] or salts[1] == wal.header.salts[1]
    if not torn and taken == committed:
        return ""
    pages = f"{taken - committed} whole pages{' and a torn one' if torn else ''}"
    return f"{wal_path}: the end of a transaction that was never answered, {pages}, was dropped"


def _survey_headless(path: Path, wal_path: Path, content: bytes) -> str:
    """Tell a damaged header from one that was never written, by whether frames behind it check."""
    with path.open("rb") as database:
        database.seek(PAGE_SIZE_OFFSET)
        (page_bytes,) = struct.unpack(">H", database.read(2).ljust(2, b"\0"))
    wal = Wal(content)
    for size in dict.fromkeys((65536 if page_bytes == 1 else page_bytes, wal.header.page_bytes, 4096)):
        if not PAGE_BYTES_MIN <= size <= PAGE_BYTES_MAX:
            continue
        for big in (False, True):
            wal.page_bytes, wal.big = size, big
            start = checksum(memoryview(content)[:24], (0, 0), big=big)
            if any(wal.follows(index, *([] if index else [start])) for index in range(wal.frames)):
                good = good_position(path, b"")
                raise LogDamaged(f"{wal_path}: its header is damaged; without it the log ends at {good}", position=good)
    return f"{wal_path}: a WAL without a readable header or frame was dropped"


def good_position(path: Path, wal: bytes) -> int:
    """Return the position up to which the chain holds in a copy of the database with `wal` as its WAL."""
    position, digest = 0, GENESIS
    with (
        contextlib.suppress(sqlite3.Error, OSError, LogError),
        tempfile.TemporaryDirectory(prefix="skep-") as directory,
    ):
        copy = Path(directory) / path.name
        copyfile(path, copy)
        if wal:
            copy.with_name(f"{copy.name}-wal").write_bytes(wal)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.text_factory = bytes
            connection.execute("PRAGMA synchronous = OFF")  # a copy
            for row, body, stored in connection.execute("SELECT position, body, digest FROM log ORDER BY position"):
                if row != position + 1 or chained(digest, body) != stored:
                    break
                position, digest = row, stored
    return position
