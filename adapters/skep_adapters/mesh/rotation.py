"""Whose turn it is: the tasks behind a published port."""

import asyncio
from collections import deque
from itertools import islice

#: How many tasks are tried for one connection: each that does not answer is one that is about to fail.
TRIES_MAX = 5


class Backend:
    """A task as the mesh sees it: its address, and how many connections it has."""

    __slots__ = ("_connections", "_idle", "addr", "task_id")

    def __init__(self, task_id: str, addr: str) -> None:
        self.task_id = task_id
        self.addr = addr
        self._connections = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Count a connection."""
        self._connections += 1
        self._idle.clear()

    def end(self) -> None:
        """Count it no more."""
        self._connections -= 1
        if not self._connections:
            self._idle.set()

    async def drained(self, within_s: float) -> bool:
        """Return whether it has no connection any more, as soon as that is so, or after `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


class Rotation:
    """Tasks that may be given new connections, with the port that each listens on."""

    __slots__ = ("_members", "_turns")

    def __init__(self) -> None:
        self._turns: deque[tuple[Backend, int]] = deque()
        self._members: set[Backend] = set()

    def add(self, backend: Backend, target: int) -> None:
        """Let it take part, last of all."""
        if backend not in self._members:
            self._members.add(backend)
            self._turns.append((backend, target))

    def remove(self, backend: Backend) -> None:
        """Give it nothing new."""
        if backend in self._members:
            self._members.discard(backend)
            self._turns = deque(turn for turn in self._turns if turn[0] is not backend)

    def has(self, backend: Backend) -> bool:
        """Return whether it takes part."""
        return backend in self._members

    def next(self) -> list[tuple[Backend, int]]:
        """Return whom to try, the one whose turn it is first; the turn passes on."""
        chosen = list(islice(self._turns, TRIES_MAX))
        self._turns.rotate(-1)
        return chosen
