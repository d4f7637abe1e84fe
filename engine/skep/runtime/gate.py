"""Where workers from outside come in. The engine knows only that there is such a place; adapters make it.

It is opened before a swarm begins or goes on, so that nothing is begun where the address is taken, and serves as soon
as the log is recovered: no agent is answered from half a state.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from skep.runtime.engine import Engine


class OpenGate(Protocol):
    """An address that is listened at; whoever connects waits until it serves."""

    @property
    def addr(self) -> str:
        """The address, `host:port`."""
        ...

    def serve(self, engine: Engine) -> AbstractAsyncContextManager[object]:
        """Let workers in to `engine` for as long as the context lasts; then it is closed."""
        ...

    def close(self) -> None:
        """Stop listening; for one that never served."""
        ...


class Gate(Protocol):
    """Opens the gate of a swarm."""

    async def forsake(self, engine: Engine) -> None:
        """Let go whom this machine itself brought into the swarm of `engine`, which was left without being served."""
        ...

    def open(self, listen_addr: str) -> OpenGate:
        """Listen at `listen_addr` (host, or host:port; empty: everywhere, at the swarm's port).

        Raises:
            CannotListen: it cannot be.
        """
        ...
