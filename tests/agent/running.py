"""An agent that runs for as long as a test's block."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from skep.ports.lines import LineStore
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviours, SimulatedExecutor

from tests.agent.scripted import NODE, ScriptedLink
from tests.agent.virtual import LoopClock

IMAGES: Behaviours = {}


class Rig:
    def __init__(self, behaviours: Behaviours, lines: LineStore | None) -> None:
        clock = LoopClock()
        self.link = ScriptedLink()
        self.lines = lines or MemoryLineStore()
        self.executor = SimulatedExecutor(behaviours, clock=clock)
        self.agent = Agent(
            self.link, self.executor, self.lines, node_id=NODE, clock=clock, hostname="box", addr="10.0.0.1:1"
        )


@contextlib.asynccontextmanager
async def running(behaviours: Behaviours = IMAGES, *, lines: LineStore | None = None) -> AsyncIterator[Rig]:
    rig = Rig(behaviours, lines)
    async with asyncio.TaskGroup() as group:
        agent = group.create_task(rig.agent.run())
        try:
            yield rig
        finally:
            agent.cancel()
