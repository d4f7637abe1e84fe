"""A machine of a story: a node's agent with its tasks, which outlives engines, crashes by itself, and comes back."""

import anyio

from skep.model.ids import NodeId
from skep.model.node import NodeDescription
from skep.ports.clock import Clock
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviours, SimulatedExecutor
from skep.testing.simulation.cable import Cable


class Machine:
    """The machine called as its `description` says, which is node `node_id`. It is on until `switch_off`."""

    def __init__(
        self, description: NodeDescription, node_id: NodeId, cable: Cable, behaviours: Behaviours, *, clock: Clock
    ) -> None:
        self.node_id = node_id
        self.cable = cable
        #: what it says of itself when it comes back the next time
        self.description = description
        self._behaviours = behaviours
        self._clock = clock
        self._on = anyio.Event()
        self._on.set()
        self._life: anyio.CancelScope | None = None
        self.executor: SimulatedExecutor | None = None

    @property
    def name(self) -> str:
        """Its hostname."""
        return self.description.hostname

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return self._on.is_set()

    def switch_off(self) -> None:
        """Lose power: the agent is gone, and its tasks with it."""
        if self.is_on:
            self._on = anyio.Event()
            if self._life is not None:
                self._life.cancel()

    async def switch_on(self) -> None:
        """Come back, without memory."""
        self._on.set()

    async def run_forever(self) -> None:
        """Run the agent whenever there is power."""
        while True:
            await self._on.wait()
            with anyio.CancelScope() as self._life:
                self.executor = SimulatedExecutor(self._behaviours, clock=self._clock, description=self.description)
                agent = Agent(
                    self.cable,
                    self.executor,
                    MemoryLineStore(),
                    node_id=self.node_id,
                    addr=f"10.0.0.{self.name.removeprefix('node')}",
                    clock=self._clock,
                )
                await agent.run()
            self._life = self.executor = None
