"""Storage: where swarms are kept, each in a log of its own; the last one may be sealed and kept for good."""

from typing import Protocol

from skep.ports.checkpoints import Checkpoints
from skep.ports.event_log import EventLog, Head
from skep.ports.keyring import Keyring


class Store(Protocol):
    """All that one swarm keeps: opened together, closed together."""

    @property
    def log(self) -> EventLog:
        """Its log."""
        ...

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        ...

    @property
    def keyring(self) -> Keyring:
        """Its keys."""
        ...

    async def anchor(self, head: Head) -> None:
        """Note durably, apart from the log, that the log reached `head`."""
        ...

    async def make_checkpoint(self, head: Head) -> None:
        """Fold the log up to about `head` where that holds nobody's loop (another process), save it, move the anchor.

        May do nothing where recovery is cheap anyway. A failure costs time at the next start, and is told in words.
        """
        ...

    async def aclose(self) -> None:
        """Close everything. Idempotent."""
        ...


class Storage(Protocol):
    """The swarms of one data directory (or of one process's memory), one after another."""

    async def latest(self) -> Store | None:
        """Open the newest swarm's store, or return None if there was never one.

        Raises:
            LogLocked: another process has it open.
            LogDamaged: see `skep.ports.event_log`.
        """
        ...

    async def begin(self) -> Store:
        """Open a new, empty store; those before it are kept."""
        ...
