"""Every implementation of a port of storage passes that port's suite."""

from pathlib import Path

import pytest
from skep.runtime.memory import MemoryCheckpoints, MemoryEventLog, MemoryKeyring, MemoryStorage
from skep.runtime.memory_lines import MemoryLineStore
from skep.testing.checkpoints_suite import CheckpointsSuite
from skep.testing.keyring_suite import KeyringSuite
from skep.testing.lines_suite import LineStoreSuite
from skep.testing.log_suite import EventLogSuite
from skep.testing.storage_suite import StorageSuite
from skep_adapters.sqlite import FileCheckpoints, SqliteEventLog, SqliteKeyring, SqliteLineStore, SqliteStorage


class OnDisk:
    path: Path

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path


class TestSqliteEventLog(OnDisk, EventLogSuite):
    def another(self) -> SqliteEventLog:
        return SqliteEventLog(self.path / "made" / "cluster.db")


class TestMemoryEventLog(EventLogSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.log = MemoryEventLog()

    def another(self) -> MemoryEventLog:
        return self.log.reopened()


class TestSqliteKeyring(OnDisk, KeyringSuite):
    def another(self) -> SqliteKeyring:
        return SqliteKeyring(self.path / "keyring.db")


class TestMemoryKeyring(KeyringSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.keyring = MemoryKeyring()

    def another(self) -> MemoryKeyring:
        return self.keyring.reopened()


class TestFileCheckpoints(OnDisk, CheckpointsSuite):
    def another(self) -> FileCheckpoints:
        return FileCheckpoints(self.path / "checkpoints")


class TestMemoryCheckpoints(CheckpointsSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.checkpoints = MemoryCheckpoints()

    def another(self) -> MemoryCheckpoints:
        return self.checkpoints


class TestSqliteLineStore(OnDisk, LineStoreSuite):
    def another(self, *, part_bytes: int = 1_000_000, parts: int = 3) -> SqliteLineStore:
        return SqliteLineStore(self.path / "lines.db", part_bytes=part_bytes, parts=parts)


class TestMemoryLineStore(LineStoreSuite):
    store: MemoryLineStore | None = None

    def another(self, *, part_bytes: int = 1_000_000, parts: int = 3) -> MemoryLineStore:
        self.store = self.store or MemoryLineStore(part_bytes=part_bytes, parts=parts)
        return self.store


class TestSqliteStorage(OnDisk, StorageSuite):
    def another(self) -> SqliteStorage:
        return SqliteStorage(self.path / "data")


class TestMemoryStorage(StorageSuite):
    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.storage = MemoryStorage()

    def another(self) -> MemoryStorage:
        return self.storage
