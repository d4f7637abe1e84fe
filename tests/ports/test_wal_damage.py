"""One flipped bit in the WAL would make SQLite drop every later commit in silence. It must not pass."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from log_places import NAME, claimed, crashed, filled, recorded, snapshot, wal_of
from skep.ports.event_log import Head, LogDamaged, LogError
from skep.testing.log_suite import BEFORE
from skep_adapters.sqlite import SqliteEventLog
from skep_adapters.sqlite.anchor import write_anchor
from skep_adapters.sqlite.wal import FRAME_HEADER_BYTES, HEADER_BYTES, Wal, survey

#: Small and large groups, so that there are transactions of one frame and of several.
GROUPS = [1, 1, 60, 1, 5, 200, 1, 1, 120, 1, 1]

#: Byte offsets in a frame: every field of its header, and its page from the first byte to the last.
FRAME_OFFSETS = (0, 3, 4, 7, 8, 15, 16, 19, 20, 23, 24, 31, 2071, 4119)


class Crash:
    """A log as a crash left it, and which commits its frames hold."""

    def __init__(self, directory: Path, head: Head) -> None:
        self.directory = directory
        self.head = head
        self.content = wal_of(directory).read_bytes()
        self.wal = Wal(self.content)
        #: By frame: how many records are committed when the WAL ends before it.
        self.good_before: list[int] = []
        #: By frame: whether a whole frame follows it.
        groups = iter(GROUPS)
        good = 0
        commits = [index for index in range(self.wal.frames) if self.wal.frame(index).pages_after]
        claims = len(commits) - len(GROUPS)  # making and claiming the log commits too
        for index in range(self.wal.frames):
            self.good_before.append(good)
            if index in commits:
                claims -= 1
                good += next(groups) if claims < 0 else 0
        assert good == head.position == sum(GROUPS)

    def flipped(self, to: Path, offset: int, bit: int = 1) -> Path:
        """Copy the log with one bit of its WAL flipped, over an earlier copy that was only looked at."""
        if not to.exists():
            shutil.copytree(self.directory, to)
        content = bytearray(self.content)
        content[offset] ^= bit
        wal_of(to).write_bytes(content)
        return to


@pytest.fixture
async def crash(tmp_path: Path) -> Crash:
    async with claimed(tmp_path / "log") as (log, claim):
        head = await filled(log, claim, GROUPS)
        return Crash(crashed(tmp_path / "log", tmp_path / "crash"), head)


def sqlite_keeps(directory: Path) -> tuple[int, str]:
    """Return how many records SQLite would find, and what it says of the file."""
    with contextlib.closing(sqlite3.connect(directory / NAME)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM log").fetchone()
        (words,) = connection.execute("PRAGMA integrity_check").fetchone()
        return count, words


async def test_sqlite_itself_drops_commits_behind_a_flipped_bit_in_silence(crash: Crash, tmp_path: Path) -> None:
    middle = crash.wal.end_of(crash.wal.frames // 2)
    count, words = sqlite_keeps(crash.flipped(tmp_path / "flipped", middle + 100))
    assert words == "ok"
    assert 0 < count < crash.head.position


async def test_every_flip_before_the_last_frame_is_damage_with_the_last_good_position(
    crash: Crash, tmp_path: Path
) -> None:
    target = tmp_path / "flipped"
    for index in range(crash.wal.frames - 1):
        for number, offset in enumerate(FRAME_OFFSETS):
            crash.flipped(target, crash.wal.end_of(index) + offset, 1 << (index + number) % 8)
            with pytest.raises(LogDamaged) as damage:
                survey(target / NAME)
            assert damage.value.position == crash.good_before[index], (index, offset)


async def test_every_flip_in_the_header_is_damage(crash: Crash, tmp_path: Path) -> None:
    target = tmp_path / "flipped"
    for offset in range(HEADER_BYTES):
        for bit in (0x01, 0x80):
            crash.flipped(target, offset, bit)
            with pytest.raises(LogDamaged) as damage:
                survey(target / NAME)
            assert damage.value.position == 0


async def test_a_flip_in_the_last_frame_looks_torn_and_is_told(crash: Crash, tmp_path: Path) -> None:
    target = tmp_path / "flipped"
    last = crash.wal.frames - 1
    for offset in FRAME_OFFSETS:
        crash.flipped(target, crash.wal.end_of(last) + offset)
        async with claimed(target) as (log, claim):
            assert "dropped" in claim.dropped
            assert claim.head.position == crash.good_before[last] == len(await recorded(log))
        shutil.rmtree(target)


async def test_a_flip_in_the_last_frame_is_damage_if_the_anchor_had_seen_it(crash: Crash, tmp_path: Path) -> None:
    last = crash.wal.frames - 1
    target = crash.flipped(tmp_path / "flipped", crash.wal.end_of(last) + 99)
    write_anchor(target / "anchor.json", crash.head)
    with pytest.raises(LogDamaged) as damage:
        async with claimed(target):
            pass
    assert damage.value.position == crash.good_before[last]


async def test_a_claim_of_a_damaged_log_changes_nothing(crash: Crash, tmp_path: Path) -> None:
    for name, offset in (("frame", crash.wal.end_of(3) + 77), ("header", 9)):
        target = crash.flipped(tmp_path / name, offset)
        before = snapshot(target)
        for _ in range(2):
            with pytest.raises(LogDamaged, match="damaged"):
                async with claimed(target):
                    pass
        assert snapshot(target) == before


async def test_damage_of_two_frames_at_once_is_damage(crash: Crash, tmp_path: Path) -> None:
    target = crash.flipped(tmp_path / "flipped", crash.wal.end_of(4) + 500)
    content = bytearray(wal_of(target).read_bytes())
    content[crash.wal.end_of(4) + 4000 : crash.wal.end_of(5) + 600] = bytes(720 + FRAME_HEADER_BYTES - 24)
    wal_of(target).write_bytes(content)
    with pytest.raises(LogDamaged) as damage:
        survey(target / NAME)
    assert damage.value.position == crash.good_before[4]


async def test_a_wal_cut_anywhere_in_its_last_transaction_is_a_torn_end(crash: Crash, tmp_path: Path) -> None:
    target = tmp_path / "cut"
    last = crash.wal.frames - 1
    start, end = crash.wal.end_of(last), crash.wal.end_of(last + 1)
    for size in (start, start + 1, start + 23, start + 24, start + 512, end - 1, end):
        shutil.copytree(crash.directory, target)
        wal_of(target).write_bytes(crash.content[:size])
        async with claimed(target) as (log, claim):
            whole = size == end
            assert claim.head.position == (crash.head.position if whole else crash.good_before[last])
            assert bool(claim.dropped) == (start + FRAME_HEADER_BYTES <= size < end)
            await filled(log, claim, [1])
        shutil.rmtree(target)


async def test_what_a_torn_transaction_left_is_not_mistaken_for_damage_later(crash: Crash, tmp_path: Path) -> None:
    # Cut off only the commit: many whole frames without one. Then write less over them, and crash again.
    large = max(range(len(GROUPS)), key=GROUPS.__getitem__)
    commits = [index for index in range(crash.wal.frames) if crash.wal.frame(index).pages_after]
    commit = commits[large + len(commits) - len(GROUPS)]
    torn = tmp_path / "torn"
    shutil.copytree(crash.directory, torn)
    wal_of(torn).write_bytes(crash.content[: crash.wal.end_of(commit)])
    async with claimed(torn) as (log, claim):
        assert "whole pages" in claim.dropped
        assert claim.head.position == sum(GROUPS[:large])
        head = await filled(log, claim, [1])
        again = crashed(torn, tmp_path / "again")
    async with claimed(again) as (_, claim):
        assert (claim.head, claim.dropped) == (head, "")


async def test_leftovers_of_an_earlier_generation_are_normal(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        head = await filled(log, claim, [3000] * 3, size=1000)  # more than the WAL holds between checkpoints
        head = await filled(log, type(claim)(claim.epoch, head), [1, 1])
        copy = crashed(tmp_path / "log", tmp_path / "crash")
    wal = Wal(wal_of(copy).read_bytes())
    taken, committed, _ = wal.walked()
    assert 0 < taken == committed < wal.frames
    async with claimed(copy) as (_, claim):
        assert (claim.head, claim.dropped) == (head, "")


async def test_frames_that_a_power_cut_kept_from_the_disk_are_a_torn_end(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        await filled(log, claim, [1, 1, 200])
        copy = crashed(tmp_path / "log", tmp_path / "crash")
    content = bytearray(wal_of(copy).read_bytes())
    wal = Wal(bytes(content))
    start, end = wal.end_of(wal.frames - 3), wal.end_of(wal.frames - 2)  # inside the last transaction
    content[start:end] = bytes(end - start)
    wal_of(copy).write_bytes(content)
    async with claimed(copy) as (_, claim):
        assert claim.head.position == 2


async def test_a_database_file_lost_from_beside_its_wal_is_damage(crash: Crash) -> None:
    (crash.directory / NAME).write_bytes(b"")
    with pytest.raises(LogDamaged, match="has a WAL"):
        async with claimed(crash.directory):
            pass
    (crash.directory / NAME).unlink()
    with pytest.raises(LogDamaged, match="has a WAL"):
        async with claimed(crash.directory):
            pass


async def test_damage_in_the_database_file_is_found_or_harmless(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        head = await filled(log, claim, [100] * 5, size=200)
    path = tmp_path / "log" / NAME
    content = path.read_bytes()
    found = 0
    for offset in range(40, len(content), 5003):
        damaged = bytearray(content)
        damaged[offset] ^= 0x10
        path.write_bytes(damaged)
        log = SqliteEventLog(path)
        with contextlib.suppress(LogError):
            found += 1
            assert (await log.claim()).head == head
            assert len(await recorded(log)) == head.position
            found -= 1
        await log.aclose()
    assert found > len(content) // 5003 // 2


async def test_a_changed_record_is_found_when_it_is_claimed_or_read(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        await filled(log, claim, [10])
    with contextlib.closing(sqlite3.connect(tmp_path / "log" / NAME)) as connection, connection:
        connection.execute("UPDATE log SET body = replace(body, 'n', 'm') WHERE position = 7")
    log = SqliteEventLog(tmp_path / "log" / NAME)
    for call in (log.claim(), log.read(BEFORE, limit=100), log.verify()):
        with pytest.raises(LogDamaged, match="position 7") as damage:
            await call
        assert damage.value.position == 6
    await log.aclose()
