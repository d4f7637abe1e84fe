"""What goes wrong around a log: no room, unknown outcomes, other processes, other versions, files in the way."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from log_places import (
    NAME,
    child,
    claimed,
    crashed,
    filled,
    listed,
    mounted,
    recorded,
    remount,
    root_only,
    snapshot,
    wal_of,
)
from skep.model.ids import Position
from skep.ports.event_log import (
    AppendUnknown,
    Claim,
    Conflict,
    Head,
    LogDamaged,
    LogError,
    LogFull,
    LogLocked,
)
from skep.ports.keyring import KeyringError
from skep.testing.log_suite import BEFORE, bodies
from skep_adapters.sqlite import SqliteEventLog, SqliteStorage
from skep_adapters.sqlite.anchor import write_anchor
from skep_adapters.sqlite.files import DIRECTORY_MODE, FILE_MODE

#: Claims a data directory or a log, says so, and holds it.
HOLDER = """
import asyncio, sys
from pathlib import Path
from skep_adapters.sqlite import SqliteEventLog, SqliteStorage

async def main():
    storage = SqliteStorage(Path(sys.argv[1]))
    store = await storage.latest() or await storage.begin()
    claim = await store.log.claim()
    await store.log.append([b"{}"], expected=claim.head.position, epoch=claim.epoch)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def until_full(log: SqliteEventLog, claim: Claim) -> Head:
    """Append until there is no room; return the end, which the refused append left as it was."""
    head = claim.head
    with contextlib.suppress(LogFull):
        for _ in range(1000):
            head = await log.append([b"x" * 20_000] * 5, expected=head.position, epoch=claim.epoch)
    with pytest.raises(LogFull, match="nothing was written"):
        await log.append([b"x" * 200_000], expected=head.position, epoch=claim.epoch)
    assert await log.head() == head
    return head


async def test_a_full_database_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async with claimed(tmp_path) as (log, claim):
        assert log._writer is not None
        await log._writer.execute_fetchall("PRAGMA max_page_count = 200")
        head = await until_full(log, claim)
        await log._writer.execute_fetchall("PRAGMA max_page_count = 100000")
        after = await log.append(bodies(1), expected=head.position, epoch=claim.epoch)
        assert after.position == head.position + 1
        assert await log.verify() == after


@root_only
async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        async with claimed(disk) as (log, claim):
            head = await until_full(log, claim)
            remount(disk, "size=20m")
            after = await filled(log, Claim(claim.epoch, head), [1, 1])
            # what the failed commits left in the WAL must not look like damage after a crash
            copy = crashed(disk, tmp_path / "crash")
        async with claimed(copy) as (log, claim):
            assert (claim.head, claim.dropped) == (after, "")
            assert await log.verify() == after


@root_only
async def test_a_disk_that_was_full_at_a_crash_opens_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        async with claimed(disk) as (log, claim):
            head = await until_full(log, claim)
            copy = crashed(disk, tmp_path / "crash")
        with contextlib.suppress(LogFull):  # closing may have made room
            async with claimed(disk) as (_, again):
                assert again.head == head
        remount(disk, "size=20m")
        async with claimed(disk) as (_, again):
            assert again.head == head
    async with claimed(copy) as (log, claim):
        assert claim.head == head
        await log.append(bodies(1), expected=head.position, epoch=claim.epoch)


def failing(log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch, *, landed: bool) -> None:
    """Make the next statement of the writer end in an I/O error, having been executed or not."""
    writer = log._writer
    assert writer is not None
    execute = writer.execute

    async def fail(sql: str, parameters: Any = None) -> Any:
        if landed:
            await execute(sql, parameters)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    monkeypatch.setattr(writer, "execute", fail)


@pytest.mark.parametrize("landed", [True, False])
async def test_after_an_unknown_outcome_only_a_claim_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, landed: bool
) -> None:
    async with claimed(tmp_path) as (log, claim):
        head = await filled(log, claim, [2])
        failing(log, monkeypatch, landed=landed)
        with pytest.raises(AppendUnknown, match="not known"):
            await log.append(bodies(1), expected=head.position, epoch=claim.epoch)
        for expected in (2, 3):
            with pytest.raises(Conflict, match="claim again"):
                await log.append(bodies(1), expected=Position(expected), epoch=claim.epoch)
        again = await log.claim()
        assert again.head.position == (3 if landed else 2)
        assert (await filled(log, again, [1])).position == again.head.position + 1


async def test_a_file_size_limit_leaves_the_log_whole(tmp_path: Path) -> None:
    script = """
import asyncio, resource, sys
from pathlib import Path
from skep.ports.event_log import AppendUnknown, LogFull
from skep_adapters.sqlite import SqliteEventLog

async def main():
    log = SqliteEventLog(Path(sys.argv[1]))
    claim = await log.claim()
    head = claim.head
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    try:
        while True:
            head = await log.append([b"x" * 20_000], expected=head.position, epoch=claim.epoch)
    except (AppendUnknown, LogFull) as error:
        print(type(error).__name__, head.position, flush=True)
    import os; os._exit(0)

asyncio.run(main())
"""
    with child(script, tmp_path / NAME) as limited:
        assert limited.stdout is not None
        kind, position = limited.stdout.read().split()
    assert kind == "AppendUnknown"
    async with claimed(tmp_path) as (log, claim):
        assert claim.head.position in {int(position), int(position) + 1}
        assert await log.verify() == claim.head


async def test_a_cancelled_append_makes_the_next_one_a_conflict(tmp_path: Path) -> None:
    async with claimed(tmp_path) as (log, claim):
        append = asyncio.ensure_future(log.append(bodies(2000), expected=BEFORE, epoch=claim.epoch))
        await asyncio.sleep(0)
        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append
        with pytest.raises(Conflict, match="claim again"):
            await log.append(bodies(1), expected=BEFORE, epoch=claim.epoch)
        assert (await log.claim()).head.position in {0, 2000}


async def test_another_process_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    with child(HOLDER, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        swarm = tmp_path / "swarms" / "000001"
        before, locks = snapshot(swarm), (tmp_path / "lock").read_bytes()
        storage = SqliteStorage(tmp_path)
        for refused in (storage.latest, storage.begin, SqliteEventLog(swarm / NAME).claim, storage.lines().task_ids):
            with pytest.raises(LogLocked, match=f"lock is held by another process .pid {holder.pid}."):
                await refused()
        assert snapshot(swarm) == before
        assert (tmp_path / "lock").read_bytes() == locks
        assert [path.name for path in listed(tmp_path)] == ["lock", "swarms"]
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    store = await SqliteStorage(tmp_path).latest()
    assert store is not None
    assert (await store.log.claim()).head.position == 1
    await store.aclose()


async def test_a_directory_can_be_verified_while_another_process_writes(tmp_path: Path) -> None:
    with child(HOLDER, tmp_path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        store = await SqliteStorage(tmp_path, read_only=True).latest()
        assert store is not None
        assert (await store.log.verify()).position == 1
        assert len(await recorded(store.log)) == 1
        for refused in (
            store.log.claim(),
            store.anchor(Head(BEFORE, b"")),
            SqliteStorage(tmp_path, read_only=True).begin(),
        ):
            with pytest.raises(LogError, match="reading only"):
                await refused
        await store.aclose()
        holder.kill()


async def test_looking_at_a_crashed_log_changes_neither_it_nor_its_wal(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        head = await filled(log, claim, [5, 5])
        copy = crashed(tmp_path / "log", tmp_path / "crash")
    before = snapshot(copy)
    log = SqliteEventLog(copy / NAME, read_only=True)
    assert await log.verify() == head
    await log.aclose()
    after = snapshot(copy)
    assert {name: after[name] for name in before} == before


@root_only
async def test_a_log_on_a_read_only_file_system_can_be_read_and_not_claimed(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        async with claimed(disk) as (log, claim):
            head = await filled(log, claim, [5])
        remount(disk, "ro")
        log = SqliteEventLog(disk / NAME)
        assert await log.verify() == head
        with pytest.raises(LogError, match=str(disk)):
            await log.claim()
        await log.aclose()
        with pytest.raises(LogError, match=f"cannot make the directory {disk}/new"):
            await SqliteStorage(disk / "new").begin()


async def test_a_log_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with claimed(tmp_path) as (log, claim):
        await filled(log, claim, [5])
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = snapshot(tmp_path)
    for log in (SqliteEventLog(tmp_path / NAME), SqliteEventLog(tmp_path / NAME, read_only=True)):
        for call in (log.claim, log.head) if not log._read_only else (log.head,):
            with pytest.raises(LogError, match=r"newer version \(99"):
                await call()
        await log.aclose()
    assert snapshot(tmp_path)[NAME] == before[NAME]


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("CREATE TABLE log (x)")
    before = snapshot(tmp_path)
    with pytest.raises(LogError, match="another program"):
        async with claimed(tmp_path):
            pass
    assert snapshot(tmp_path) == before


async def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database at all" * 1000)
    with pytest.raises(LogDamaged, match="not a database"):
        async with claimed(tmp_path):
            pass


async def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    for call in (SqliteStorage(tmp_path / "data").begin, SqliteEventLog(tmp_path / "data" / NAME).claim):
        with pytest.raises(LogError, match=str(tmp_path / "data")):
            await call()


async def test_a_lost_log_is_damage_if_the_anchor_knew_it(tmp_path: Path) -> None:
    write_anchor(tmp_path / "anchor.json", Head(Position(3), bytes(32)))
    with pytest.raises(LogDamaged, match="known to have reached position 3"):
        async with claimed(tmp_path):
            pass
    assert not (tmp_path / NAME).exists()


async def test_a_damaged_anchor_is_told(tmp_path: Path) -> None:
    async with claimed(tmp_path) as (log, claim):
        await filled(log, claim, [1])
    for content in (b"", b"{", b'{"position":1,"digest":"00"}', b'{"position":-1,"digest":"' + b"00" * 32 + b'"}'):
        (tmp_path / "anchor.json").write_bytes(content)
        with pytest.raises(LogDamaged, match=r"anchor\.json is damaged"):
            async with claimed(tmp_path):
                pass


async def test_a_log_rolled_back_behind_its_anchor_is_damage(tmp_path: Path) -> None:
    async with claimed(tmp_path / "log") as (log, claim):
        head = await filled(log, claim, [3])
        older = crashed(tmp_path / "log", tmp_path / "older")
        head = await filled(log, Claim(claim.epoch, head), [2])
    write_anchor(older / "anchor.json", head)
    before = snapshot(older)
    with pytest.raises(LogDamaged, match="ends at position 3, but is known to have reached 5") as damage:
        async with claimed(older):
            pass
    assert damage.value.position == 3
    assert {name: snapshot(older)[name] for name in before} == before


async def test_a_program_that_ends_without_closing_ends(tmp_path: Path) -> None:
    with child(HOLDER.replace("await asyncio.sleep(60)", "globals()['kept'] = store; sys.exit(7)"), tmp_path) as holder:
        assert holder.wait(60) == 7
    store = await SqliteStorage(tmp_path).latest()
    assert store is not None
    assert (await store.log.claim()).head.position == 1
    await store.aclose()


async def test_what_is_closed_stays_closed(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    store, lines = await storage.begin(), storage.lines()
    await store.log.claim()
    await store.aclose()
    await lines.aclose()
    for call in (store.log.claim, store.log.head, store.keyring.key_ids, lines.task_ids):
        with pytest.raises((LogError, KeyringError), match="is closed"):
            await call()


async def test_calls_at_once_on_a_new_store_share_one_connection(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    store, lines = await storage.begin(), storage.lines()
    await store.log.claim()
    for call in (store.log.head, store.keyring.key_ids, lines.task_ids):
        await asyncio.gather(*(call() for _ in range(8)))
    await lines.aclose()
    await store.aclose()


async def test_a_newer_sqlite_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(LogError, match=r"SQLite 3\.37\.0 is needed"):
        async with claimed(tmp_path):
            pass


async def test_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        storage = SqliteStorage(tmp_path / "deep" / "data")
        store = await storage.begin()
        claim = await store.log.claim()
        await store.anchor(await filled(store.log, claim, [1]))
        await store.keyring.create("a")
        lines = storage.lines()
        await lines.task_ids()
        paths = list((tmp_path / "deep").rglob("*"))
        assert wal_of(store.directory) in paths
        for path in [tmp_path / "deep", *paths]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (DIRECTORY_MODE if path.is_dir() else FILE_MODE), path
        await lines.aclose()
        await store.aclose()
    finally:
        os.umask(before)


async def test_a_person_can_read_the_log_with_sqlite3(tmp_path: Path) -> None:
    async with claimed(tmp_path) as (log, claim):
        await log.append([b'{"actor":"alice"}'], expected=BEFORE, epoch=claim.epoch)
        with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection:
            query = "SELECT typeof(body), body, json_extract(body, '$.actor') FROM log"
            assert connection.execute(query).fetchall() == [("text", '{"actor":"alice"}', "alice")]
            connection.execute("BEGIN IMMEDIATE")
            log._writer and await log._writer.execute_fetchall("PRAGMA busy_timeout = 10")
            with pytest.raises(Conflict, match="another program holds"):
                await log.append(bodies(1), expected=Position(1), epoch=claim.epoch)
