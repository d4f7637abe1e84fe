"""The engine of a story: it runs, crashes, starts again, and suffers faults of its log and of its links."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from skep.core.commands import CreateSecret, JoinNodes
from skep.core.invariants import check
from skep.model.ids import NodeId, SecretId
from skep.model.node import ManagerStatus, NodeDescription, NodeSpec
from skep.model.secret import Sealed, SecretSpec
from skep.model.states import Availability, Role
from skep.ports.keyring import Keyring
from skep.ports.link import LinkError, SessionRequest
from skep.runtime.cluster import Cluster
from skep.runtime.engine import ENGINE, Engine
from skep.runtime.memory import MemoryCheckpoints, MemoryStorage, MemoryStore
from skep.runtime.session import Session
from skep.runtime.simulated import SimulatedExecutor
from skep.runtime.turn import Durable
from skep.testing.beginning import begin_swarm
from skep.testing.simulation.behaviours import behave
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock

#: How long an append takes: long enough for a crash to fall into one.
APPEND_S = 0.02


class World:
    """What outlives the engine: its storage, its clock, and who cannot reach it."""

    def __init__(self, random: Random, *, nodes: int) -> None:
        self.random = random
        self.clock = VirtualClock()
        self.ids = SeededIds(random.getrandbits(64))
        self.storage = MemoryStorage(draw=random.randbytes, append_s=APPEND_S)
        self.cut: dict[NodeId, None] = {}
        self.groups = 0
        self._nodes = nodes
        self._begun = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cluster]:
        """Run the engine over what the storage keeps, checking the invariants after every durable group."""
        async with Cluster.open(
            storage=self.storage,
            nodes=self._nodes,
            init=False,
            clock=self.clock,
            ids=self.ids,
            executor=lambda _name, _number: SimulatedExecutor(behave, clock=self.clock),
        ) as cluster:
            if not cluster.active:
                await cluster.begin(self._first_words)
            self._watch(cluster.engine)
            yield cluster

    def crash(self) -> None:
        """Leave the running engine with a storage of its own: what it writes from now on is lost."""
        crashed = self.storage.crash()
        kept = crashed._kept[-1]  # noqa: SLF001 - the storage and its simulation are one kit
        checkpoints = MemoryCheckpoints()
        checkpoints._kept = dict(kept.checkpoints._kept)  # noqa: SLF001 - likewise
        crashed._kept[-1] = MemoryStore(kept.log, checkpoints, kept.keyring)  # noqa: SLF001 - likewise
        self.storage = crashed
        self.cut.clear()

    async def new_secret(self, keyring: Keyring) -> CreateSecret:
        """Return a command for a secret, sealed as `skep.runtime.sealing` does it, but with a nonce of the seed."""
        secret_id = SecretId(self.ids.new())
        key_id, nonce = f"secret-{secret_id}", self.random.randbytes(12)
        ciphertext = AESGCM(await keyring.create(key_id)).encrypt(nonce, b"content", key_id.encode())
        spec = SecretSpec(name=f"secret-{self.random.randrange(5)}")
        return CreateSecret(secret_id, spec, Sealed(key_id, nonce + ciphertext, b"mac"), len(b"content"))

    async def _first_words(self, engine: Engine) -> None:
        manager = JoinNodes(
            node_ids=(NodeId(self.ids.new()),),
            specs=(NodeSpec(labels={}, role=Role.MANAGER, availability=Availability.ACTIVE),),
            descriptions=(NodeDescription(hostname="node1"),),
            addrs=("127.0.0.1",),
            managers=(ManagerStatus(leader=True, addr="127.0.0.1:2377"),),
        )
        await engine.writer.submit(begin_swarm(), manager, actor=ENGINE)

    def _watch(self, engine: Engine) -> None:
        def after(_: Durable) -> None:
            self.groups += 1
            check(engine.writer.state)

        engine.writer.on_durable.append(after)
        register = engine.dispatcher.register

        async def guarded(node_id: NodeId, request: SessionRequest) -> Session:
            if node_id in self.cut:
                raise LinkError(f"{node_id} cannot reach the manager")
            return await register(node_id, request)

        engine.dispatcher.register = guarded  # type: ignore[method-assign]  # a cut cable
