"""Destroyed keys are nowhere; damaged checkpoints are passed over; a checkpoint is folded by another process."""

import asyncio
import random
import sqlite3
import stat
from pathlib import Path

import pytest
from log_places import filled, listed
from skep.core.fold import FOLD_VERSION
from skep.model.ids import Position
from skep.ports.event_log import Claim, LogError
from skep.ports.keyring import KeyringError
from skep.testing.checkpoints_suite import checkpoint
from skep_adapters.sqlite import FileCheckpoints, SqliteKeyring, SqliteStorage
from structlog.testing import capture_logs


def on_disk(directory: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_a_destroyed_keys_bytes_are_in_no_file(tmp_path: Path) -> None:
    draw = random.Random(5)  # noqa: S311 - the order of calls, not the keys
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    keys: dict[str, bytes] = {}
    destroyed: list[bytes] = []
    for number in range(300):  # several pages, split and merged
        name = f"{draw.randrange(1000):03}-{'x' * draw.randrange(60)}-{number}"
        keys[name] = await keyring.create(name)
    assert all(key in on_disk(tmp_path) for key in keys.values())
    for _ in range(25):
        name = draw.choice(sorted(keys))
        await keyring.destroy(name)
        destroyed.append(keys.pop(name))
        content = on_disk(tmp_path)
        assert not [key for key in destroyed if key in content or key.hex().encode() in content]
    assert all(key in content for key in keys.values())
    assert await keyring.key_ids() == sorted(keys)
    await keyring.aclose()


async def test_a_key_destroyed_in_the_last_moment_before_a_crash_is_gone(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    key = await keyring.create("a")
    await keyring.destroy("a")
    assert key not in on_disk(tmp_path)  # before closing
    await keyring.aclose()


async def test_no_file_holds_a_key_of_a_locked_keyring_in_plain(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    keys = [await keyring.create(f"before-{number}") for number in range(100)]
    assert all(key in on_disk(tmp_path) for key in keys)
    await keyring.lock_with(b"u" * 32)
    keys += [await keyring.create(f"after-{number}") for number in range(100)]
    await keyring.lock_with(b"v" * 32)
    content = on_disk(tmp_path)
    assert not [key for key in (*keys, b"u" * 32, b"v" * 32) if key in content]
    await keyring.lock_with(None)
    assert all(key in on_disk(tmp_path) for key in keys)
    await keyring.aclose()


async def test_a_locking_that_is_cut_short_leaves_the_keyring_as_it_was(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    key = await keyring.create("a")
    await keyring.create("b")
    assert keyring._connection is not None
    await keyring._connection.execute_fetchall("UPDATE keys SET key = x'00' WHERE key_id = 'b'")
    with pytest.raises(KeyringError, match=r"b .* is damaged"):
        await keyring.lock_with(b"u" * 32)
    assert not await keyring.locked()
    assert await keyring.get("a") == key
    await keyring.aclose()


async def test_a_key_of_a_locked_keyring_is_good_under_its_own_name_only(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    await keyring.create("a")
    await keyring.create("b")
    await keyring.lock_with(b"u" * 32)
    assert keyring._connection is not None
    await keyring._connection.execute_fetchall(
        "UPDATE keys SET key = (SELECT key FROM keys WHERE key_id = 'a') WHERE key_id = 'b'"
    )
    with pytest.raises(KeyringError, match=r"b .* is damaged"):
        await keyring.get("b")
    await keyring.aclose()


async def test_a_reader_that_keeps_a_key_in_the_wal_is_told_of(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    await keyring.create("a")
    other = sqlite3.connect(tmp_path / "keyring.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM keys").fetchone()
    assert keyring._connection is not None
    await keyring._connection.execute_fetchall("PRAGMA busy_timeout = 10")
    with pytest.raises(KeyringError, match="destroy"):
        await keyring.destroy("a")
    other.close()
    await keyring.destroy("a")
    await keyring.aclose()


async def test_keys_that_a_reader_kept_in_plain_in_the_wal_are_gone_when_it_is_locked_again(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    key = await keyring.create("a")
    other = sqlite3.connect(tmp_path / "keyring.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM keys").fetchone()
    assert keyring._connection is not None
    await keyring._connection.execute_fetchall("PRAGMA busy_timeout = 10")
    with pytest.raises(KeyringError, match="lock it again"):
        await keyring.lock_with(b"u" * 32)
    other.close()
    assert key in on_disk(tmp_path)
    await keyring.lock_with(b"u" * 32)
    assert key not in on_disk(tmp_path)
    await keyring.aclose()


async def test_a_locking_that_nobody_waits_for_any_more_does_not_shut_out_its_own_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    key = await keyring.create("a")
    run = keyring._run

    async def cut(sql: str, *parameters: object) -> list[sqlite3.Row]:
        rows = await run(sql, *parameters)
        if sql == "COMMIT":
            raise asyncio.CancelledError
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(keyring, "_run", cut)
        with pytest.raises(asyncio.CancelledError):
            await keyring.lock_with(b"u" * 32)
    assert await keyring.get("a") == key
    await keyring.lock_with(b"u" * 32)
    assert key not in on_disk(tmp_path)
    await keyring.aclose()


async def test_a_keyring_that_cannot_be_opened_says_so_without_keys(tmp_path: Path) -> None:
    (tmp_path / "keyring.db").write_bytes(b"no database" * 500)
    keyring = SqliteKeyring(tmp_path / "keyring.db")
    with pytest.raises(KeyringError, match=r"keyring\.db"):
        await keyring.create("a")
    await keyring.aclose()


async def test_a_read_only_keyring_makes_nothing(tmp_path: Path) -> None:
    keyring = SqliteKeyring(tmp_path / "keyring.db", read_only=True)
    assert await keyring.key_ids() == []
    with pytest.raises(KeyringError, match="reading only"):
        await keyring.create("a")
    assert not listed(tmp_path)
    await keyring.aclose()


async def test_a_damaged_checkpoint_is_passed_over_wherever_it_was_hit(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path)
    await checkpoints.save(checkpoint(1))
    await checkpoints.save(checkpoint(2))
    newest = listed(tmp_path)[-1]
    whole = newest.read_bytes()
    for offset in range(len(whole)):
        newest.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        assert await checkpoints.load(Position(2)) is None
    for size in range(len(whole)):
        newest.write_bytes(whole[:size])
        assert await checkpoints.latest(fold_version="1") == checkpoint(1)
    newest.write_bytes(whole)
    assert await checkpoints.latest(fold_version="1") == checkpoint(2)


async def test_two_checkpoints_are_kept_and_unfinished_ones_go(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path)
    (tmp_path / f"{3:020}.ckpt.77.new").write_bytes(b"half")
    for position in (1, 2, 3, 4):
        await checkpoints.save(checkpoint(position))
    assert await checkpoints.positions() == [3, 4]
    assert len(listed(tmp_path)) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in listed(tmp_path)} == {0o600}


async def test_checkpoints_in_a_files_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(LogError, match=str(tmp_path)):
        await FileCheckpoints(tmp_path / "checkpoints").save(checkpoint(1))
    with pytest.raises(LogError, match="reading only"):
        await FileCheckpoints(tmp_path, read_only=True).save(checkpoint(1))


#: The smallest record there is.
STARTED = b'{"position":%d,"time":1,"actor":{"kind":"engine"},"input":{"type":"submit","commands":[]},"events":[]}'


async def test_a_checkpoint_is_folded_by_another_process_and_moves_the_anchor(tmp_path: Path) -> None:
    store = await SqliteStorage(tmp_path).begin()
    claim = await store.log.claim()
    head = claim.head
    for position in (1, 2, 3):
        head = await store.log.append([STARTED % position], expected=head.position, epoch=claim.epoch)
    await store.make_checkpoint(head)
    saved = await store.checkpoints.latest(fold_version=FOLD_VERSION)
    assert saved is not None
    assert (saved.position, saved.digest) == (head.position, head.digest)
    assert head.digest.hex() in (store.directory / "anchor.json").read_text()
    await store.aclose()


async def test_a_checkpoint_that_cannot_be_folded_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = await SqliteStorage(tmp_path).begin()
    claim = await store.log.claim()
    head = await filled(store.log, Claim(claim.epoch, claim.head), [1])
    with capture_logs() as told:
        await store.make_checkpoint(head)
    assert "no record" in told[0]["reason"]
    assert await store.checkpoints.positions() == []
    assert not (store.directory / "anchor.json").exists()
    await store.aclose()
