"""The default storage: SQLite files through aiosqlite."""

from skep_adapters.sqlite.checkpoints import FileCheckpoints
from skep_adapters.sqlite.event_log import SqliteEventLog
from skep_adapters.sqlite.keyring import SqliteKeyring
from skep_adapters.sqlite.lines import SqliteLineStore
from skep_adapters.sqlite.storage import SqliteStorage, SqliteStore

__all__ = ["FileCheckpoints", "SqliteEventLog", "SqliteKeyring", "SqliteLineStore", "SqliteStorage", "SqliteStore"]
