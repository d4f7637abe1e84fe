"""A machine of a story: a node's agent with its tasks, which outlives engines, crashes by itself, and comes back.

One that came in by a token has papers; it says of itself by which certificate it is known.
"""

import anyio
from msgspec.structs import replace

from skep.model.ids import NodeId
from skep.model.node import NodeDescription
from skep.ports.clock import Clock
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviours, SimulatedExecutor
from skep.testing.simulation.cable import Cable
from skep.testing.simulation.papers import Papers


class Machine:
    """The machine called as its `description` says, which is node `node_id`. It is on until `switch_off`."""

    def __init__(
        self,
        description: NodeDescription,
        node_id: NodeId,
        cable: Cable,
        behaviours: Behaviours,
        *,
        clock: Clock,
        papers: Papers | None = None,
    ) -> None:
        self.node_id = node_id
        self.cable = cable
        self.papers = papers
        #: what it says of itself in its next session
        self.description = description
        #: whether it is this node no more: it left, or is another node by now
        self.gone = False
        #: whether the swarm never heard of its certificate, or of its roots: a disk that lied lost that
        self.void = False
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

    def leave(self) -> None:
        """Be this node no more."""
        self.gone = True
        self.switch_off()

    def switch_off(self) -> None:
        """Lose power: the agent is gone, and its tasks with it."""
        if self.is_on:
            self._on = anyio.Event()
            if self._life is not None:
                self._life.cancel()

    async def switch_on(self) -> None:
        """Come back, without memory."""
        if not self.gone:
            self._on.set()

    async def run_forever(self) -> None:
        """Run the agent whenever there is power."""
        while True:
            await self._on.wait()
            with anyio.CancelScope() as self._life:
                self.executor = _Executor(self, self._behaviours, clock=self._clock)
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


class _Executor(SimulatedExecutor):
    """Says of the machine what is so now."""

    def __init__(self, machine: Machine, behaviours: Behaviours, *, clock: Clock) -> None:
        super().__init__(behaviours, clock=clock)
        self._machine = machine

    def describe(self) -> NodeDescription:
        """Return what the machine is, and which certificate it has."""
        papers = self._machine.papers
        description = self._machine.description
        return description if papers is None else replace(description, tls_info=papers.told)
