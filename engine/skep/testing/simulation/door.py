"""The door of a swarm in a story: nobody knocks at an address, but what goes with one is done: keys are rotated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from skep.runtime.engine import Engine


class Door:
    """Implements `Gate` and `OpenGate`: machines have their cables."""

    addr = "127.0.0.1:2377"

    async def forsake(self, engine: Engine) -> None:
        """Do nothing: nobody was brought in."""

    def open(self, listen_addr: str) -> "Door":
        """Be open."""
        del listen_addr
        return self

    def close(self) -> None:
        """Do nothing: nothing is listened at."""

    @asynccontextmanager
    async def serve(self, engine: Engine) -> AsyncIterator[None]:
        """Look after the keys of the data plane, as where Docker Engines come in."""
        async with anyio.create_task_group() as group:
            group.start_soon(engine.upkeep.run_keys)
            yield
            group.cancel_scope.cancel()
