"""The world of a story: its disk, its clock, its machines, and the engine, as long as one runs.

`run` is one life of the engine. It ends when what was to be done in it is done, or when the engine crashes: at any
instant, since a crash takes the disk away first and cancels then.
"""

from collections.abc import Awaitable, Callable
from random import Random

import anyio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from skep.core.codec import encode_state
from skep.core.events import SwarmRootReplaced
from skep.core.invariants import check
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, NodeId, Position, SecretId
from skep.model.secret import Sealed
from skep.ports.event_log import LogError
from skep.ports.link import AssignedTask
from skep.runtime.cluster import Cluster
from skep.runtime.engine import ENGINE, Engine
from skep.runtime.errors import EngineError, EngineFailed
from skep.runtime.simulated import Behaviour, SimulatedExecutor
from skep.runtime.turn import Durable
from skep.testing.simulation.always import Always, Failed
from skep.testing.simulation.behaviours import behave, expanded
from skep.testing.simulation.cable import Cable
from skep.testing.simulation.certified_cable import CertifiedCable
from skep.testing.simulation.disk import Disk
from skep.testing.simulation.door import Door
from skep.testing.simulation.machine import Machine
from skep.testing.simulation.marks import Scene
from skep.testing.simulation.papers import Papers
from skep.testing.simulation.places import hardware
from skep.testing.simulation.planned import check_planned
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock

#: A checkpoint is made after so many records: often enough that crashes fall between them.
CHECKPOINT_RECORDS = 150

#: What networks get their addresses from: room for four, of 29 addresses each.
POOLS = ("10.20.0.0/25",)
SUBNET_SIZE = 27

#: How long until an engine that could not start is tried again.
AGAIN_S = 1.0


class World:
    """What outlives the engine. `check_every`: how many groups become durable between two looks at the invariants."""

    def __init__(self, random: Random, background: anyio.abc.TaskGroup, *, check_every: int) -> None:
        self.random = random
        self.clock = VirtualClock()
        self.ids = SeededIds(random.getrandbits(64))
        #: what keys are made of; a source of its own, so that it does not matter how much of it they take
        self.draw = Random(random.getrandbits(64)).randbytes  # noqa: S311 - it must repeat itself
        self.scene = Scene()
        self.always = Always()
        self.disk = Disk(random, self.note, self.crash)
        self.machines: dict[NodeId, Machine] = {}
        #: every node that ever was a member
        self.members: dict[NodeId, None] = {}
        #: the token of workers before the present one
        self.written_down = ""
        self.engine: Engine | None = None
        self.groups = 0
        self.crashes = 0
        #: what a fault asks of whoever runs the engine: to stop it in order, and how long to leave it so
        self.stopping = False
        self.away_s = 0.0
        #: called with the position at which the log ends after a crash
        self.on_crash: list[Callable[[Position], None]] = []
        self._checkpointed = Position(0)
        self._background = background
        self._check_every = check_every
        self._life: anyio.CancelScope | None = None

    # --- what everybody in it needs

    def note(self, mark: str) -> None:
        """Note that a mark was reached."""
        self.scene.note(mark)

    def draw_s(self, least: float, most: float) -> float:
        """Draw a number of seconds."""
        return self.random.uniform(least, most)

    def later(self, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
        """Have something done after some time, whatever becomes of the engine until then."""

        async def wait() -> None:
            await anyio.sleep(seconds)
            await what()

        self._background.start_soon(wait)

    # --- the engine

    async def run(self, during: Callable[[Cluster], Awaitable[None]]) -> None:
        """Run an engine over the disk until `during` returns, or until it crashes."""
        failures = self.disk.failures
        with anyio.CancelScope() as self._life:
            try:
                await self._run(during)
            except (EngineError, LogError) as error:
                if isinstance(error, EngineFailed) or self.disk.failures == failures:
                    raise
                self.note("start-failed-by-disk")
                await anyio.sleep(AGAIN_S)
        self._life = None

    async def _run(self, during: Callable[[Cluster], Awaitable[None]]) -> None:
        async with Cluster.open(
            storage=self.disk,
            nodes=1,
            init=False,
            clock=self.clock,
            ids=self.ids,
            draw=self.draw,
            gate=Door(),
            executor=lambda _name, _number: SimulatedExecutor(self._behave, clock=self.clock),
        ) as cluster:
            if not cluster.active:
                await cluster.swarm.init(default_addr_pool=POOLS, subnet_size=SUBNET_SIZE, actor=ENGINE)
            engine = cluster.engine
            engine.writer.on_durable.append(lambda durable: self._look(engine, durable))
            engine.writer.on_recovered.append(lambda: self.always.begin(engine.writer.state))
            self.engine = engine
            self.always.begin(engine.writer.state)
            self.muster(engine.writer.state)
            try:
                await during(cluster)
            finally:
                self._hang_up(engine)

    def crash(self, *, lose_groups: int = 0) -> None:
        """Kill the engine now. What it writes from now on is lost, and `lose_groups` of what it wrote before."""
        if self._life is None or not self.disk.begun or self.disk.over:
            return
        self.crashes += 1
        before = self.disk.log.end.position
        self.disk = self.disk.crashed(lose_groups=lose_groups)
        end = self.disk.log.end.position
        self.note("engine-crashed-with-lost-group" if end < before else "engine-crashed")
        self.always.forget_after(end)
        for machine in self.machines.values():
            machine.void = machine.void or (machine.papers is not None and machine.papers.known > end)
        for tell in self.on_crash:
            tell(end)
        if self.engine is not None:
            self._hang_up(self.engine)
        self._life.cancel()

    def _hang_up(self, engine: Engine) -> None:
        """End what leads to an engine that is no more."""
        if self.engine is engine:
            self.engine = None
        for session in list(engine.dispatcher.sessions.values()):
            session.end("the manager is gone")

    def _look(self, engine: Engine, durable: Durable) -> None:
        if self.engine is not engine:
            return
        self.groups += 1
        self.members |= dict.fromkeys(engine.writer.state.nodes)
        self.scene.look(engine.writer.state, durable.records)
        self.always.look(durable.records)
        if any(isinstance(event, SwarmRootReplaced) for record in durable.records for event in record.events):
            self._check_replaced(engine.writer.state)
        if engine.writer.head.position - self._checkpointed >= CHECKPOINT_RECORDS:
            self._checkpointed = engine.writer.head.position
            self.disk.keep(engine.writer.head, encode_state(engine.writer.state))
        if self.groups % self._check_every == 0:
            check(engine.writer.state)
            if engine.writer.wakes.idle:
                check_planned(engine.writer.state)

    def _check_replaced(self, state: ClusterState) -> None:
        """Look at whom a new root locks out: every member that can show a certificate must have one of it."""
        for machine in self.machines.values():
            if machine.gone or machine.void or machine.papers is None or machine.node_id not in state.nodes:
                continue
            if state.cluster is not None and not machine.papers.trusted_by(state.cluster.root.certificate):
                raise Failed(f"the root was replaced, and {machine.name} has no certificate of the new one")

    # --- machines

    def new_machine(self) -> Machine:
        """Put up a machine. It tries to reach the manager from now on, which refuses it until it is a member."""
        return self.put_up(self.new_name(), NodeId(self.ids.new()))

    def new_name(self) -> str:
        """Return the name of the next machine."""
        return f"node{len(self.machines) + 2}"

    def put_up(self, name: str, node_id: NodeId, papers: Papers | None = None) -> Machine:
        """Put up a machine that is node `node_id`, by its papers if it came in by a token."""
        described = hardware(self.random, name)
        cable = Cable(self, node_id) if papers is None else CertifiedCable(self, node_id, papers)
        machine = Machine(described, node_id, cable, self._behave, clock=self.clock, papers=papers)
        self.machines[node_id] = machine
        self._background.start_soon(machine.run_forever)
        return machine

    def _behave(self, task: AssignedTask) -> Behaviour:
        """Return what a task does, and look at what its agent made of its templates."""
        if expanded(task):
            self.note("template-expanded")
        return behave(task)

    def muster(self, state: ClusterState) -> None:
        """Switch off machines that were to become members, and did not."""
        for node_id, machine in self.machines.items():
            if node_id not in state.nodes and machine.is_on and node_id not in self.members:
                machine.switch_off()

    async def mend(self, state: ClusterState) -> None:
        """Have no faults any more: every member's machine is on, and reaches the manager."""
        self.disk.mend()
        self.muster(state)
        for node_id, machine in self.machines.items():
            machine.cable.cut = False
            machine.cable.mishaps.clear()
            if node_id in state.nodes:
                await machine.switch_on()

    # --- what people cannot do by a command alone

    async def sealed(self, secret_id: SecretId) -> Sealed:
        """Seal a secret's data as `skep.runtime.sealing` does it, but with a nonce of the seed.

        Raises:
            EngineError: no engine runs.
        """
        if self.engine is None:
            raise EngineError("no engine runs")
        key_id, nonce = f"secret-{secret_id}", self.random.randbytes(12)
        key = await self.engine.store.keyring.create(key_id)
        return Sealed(key_id, nonce + AESGCM(key).encrypt(nonce, b"content", key_id.encode()), b"mac")

    def turn_clock(self, seconds: float) -> None:
        """Put everybody's clock on, or back."""
        self.clock.offset_ns += round(seconds * NANOSECONDS)
        self.note("clock-jumped-ahead" if seconds > 0 else "clock-jumped-back")
