"""The embedding API: a swarm inside your program.

    async with skep.Cluster.open(nodes=3) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=3))
        await cluster.converged("web")

Runs on asyncio, by anyio; call it from the loop that opened it. It needs no thread of its own (the SQLite adapter has
one). Several clusters live in one process without knowing each other.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec import structs

from skep.core.changes import Change
from skep.core.record import Actor, Record
from skep.core.rejected import Broken
from skep.core.state import ClusterState
from skep.model.ids import START, Instant, NodeId, Position
from skep.ports.clock import Clock, Draw, Ids
from skep.ports.event_log import LogError
from skep.ports.keyring import WrongUnlockKey
from skep.ports.lines import LineStore
from skep.ports.link import LineOptions, LineSelector, PublishedLine
from skep.ports.stack_files import StackFiles
from skep.ports.storage import Storage, Store
from skep.runtime import watching
from skep.runtime.coroutines.images import F, HealthFunction, Images
from skep.runtime.engine import Engine, ExecutorFactory, LocalNodes, Wire, direct
from skep.runtime.error_groups import only
from skep.runtime.errors import AlreadyInSwarm, EngineFailed, NoSwarm, NotLocked, SwarmLocked, TimedOut, UnlockRefused
from skep.runtime.facades import Configs, Networks, Nodes, Secrets, Services, Tasks
from skep.runtime.gate import Gate, OpenGate
from skep.runtime.local_nodes import Reach, local_nodes
from skep.runtime.memory import MemoryStorage
from skep.runtime.recovered import told
from skep.runtime.sources import RandomIds, SystemClock
from skep.runtime.stacks import Stacks
from skep.runtime.swarm import Swarm
from skep.version import VERSION

T = TypeVar("T")


class Cluster:
    """One node's view of a swarm, and the swarm's engine where there is one. Made by `Cluster.open`."""

    def __init__(
        self,
        storage: Storage,
        nodes: LocalNodes,
        *,
        images: Images,
        clock: Clock,
        ids: Ids,
        draw: Draw,
        group: TaskGroup,
        gate: Gate | None,
        stack_files: StackFiles | None,
    ) -> None:
        self.images = images
        self.clock = clock
        self.ids = ids
        self.swarm = Swarm(self)
        self.services = Services(self)
        self.nodes = Nodes(self)
        self.tasks = Tasks(self)
        self.secrets = Secrets(self)
        self.configs = Configs(self)
        self.networks = Networks(self)
        self.stacks = Stacks(self)
        self.stack_files = stack_files
        self.recovered = ""
        #: whether the swarm goes on from what was before, and was not begun by this process
        self.resumed = False
        self._draw = draw
        self._storage = storage
        self._local = nodes
        self._group = group
        self._gate = gate
        self._engine: Engine | None = None
        #: the recovered engine of a swarm that waits to be unlocked
        self._locked: Engine | None = None
        self._scope: anyio.CancelScope | None = None
        self._ended = anyio.Event()
        self._changing = anyio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        storage: Storage | None = None,
        executor: ExecutorFactory | None = None,
        images: Images | None = None,
        mesh: Reach | None = None,
        lines: LineStore | None = None,
        nodes: int | Sequence[str] = 1,
        advertise_addr: str = "127.0.0.1",
        init: bool = True,
        clock: Clock | None = None,
        ids: Ids | None = None,
        draw: Draw = secrets.token_bytes,
        gate: Gate | None = None,
        stack_files: StackFiles | None = None,
        wire: Wire = direct,
    ) -> AsyncIterator["Cluster"]:
        """Open what `storage` keeps (memory by default), recover it, and run it until the block is left.

        `nodes` is how many nodes live in this process, or their names; the first one is the manager. `executor` makes
        each node's executor, of its name and number (simulated by default). Tasks of `images` are coroutines on every
        node: bound before, they are there when what is stored goes on. Through the `mesh`, if there is one, tasks of
        either kind are reached at their published ports and by name. With `init` a swarm is begun where there is
        none; a daemon leaves that to its user. Keys are made of what `draw` gives. Through the `gate` workers from
        outside come in, if there is one. `stack_files` reads stack files, for `Cluster.stacks`. A test that cuts nodes
        off gives their agents links of its own by `wire`.

        Raises:
            LogLocked, LogDamaged, LogError: the log cannot be opened.
            CannotListen: the address for workers is taken.
            EngineFailed: the engine failed while the block ran; the block was cancelled.
        """
        clock, images = clock or SystemClock(), Images() if images is None else images
        local = local_nodes(nodes, executor, lines, advertise_addr, images=images, clock=clock, mesh=mesh)
        local = structs.replace(local, wire=wire)
        opened = False
        try:
            async with anyio.create_task_group() as group:
                cluster = cls(
                    storage or MemoryStorage(),
                    local,
                    images=images,
                    clock=clock,
                    ids=ids or RandomIds(),
                    draw=draw,
                    group=group,
                    gate=gate,
                    stack_files=stack_files,
                )
                await cluster._resume()
                opened = True
                try:
                    if init and not cluster.active:
                        await cluster.swarm.init(advertise_addr=advertise_addr)
                    yield cluster
                finally:
                    with anyio.CancelScope(shield=True):
                        await cluster._stop()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failed:
            error = only(failed)
            if opened and isinstance(error, LogError | Broken):
                raise EngineFailed(f"the engine failed: {error}") from error
            raise error from None  # the group holds it: as a cause it would be its own

    def image(self, name: str, *, health: HealthFunction | None = None) -> Callable[[F], F]:
        """Bind an image's name to the async function below; see `Images.bind`."""
        return self.images.bind(name, health=health)

    # --- this node

    @property
    def active(self) -> bool:
        """Whether there is a swarm here."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """The running engine.

        Raises:
            NoSwarm: there is none.
            SwarmLocked: it has to be unlocked first.
        """
        if self._engine is None:
            raise SwarmLocked if self._locked is not None else NoSwarm
        return self._engine

    @property
    def locked(self) -> bool:
        """Whether there is a swarm here that has to be unlocked first."""
        return self._locked is not None

    @property
    def node_id(self) -> NodeId:
        """This node's id; empty where there is no swarm."""
        return self._engine.node_id if self._engine else NodeId("")

    @property
    def hostname(self) -> str:
        """This node's name."""
        return self._local.names[0]

    @property
    def advertise_addr(self) -> str:
        """The address that this node says it has: in a swarm the one that it was begun with."""
        engine = self._engine or self._locked
        node = engine.writer.state.nodes.get(engine.node_id) if engine else None
        return (node.status.addr if node else "") or self._local.addr

    # --- reading

    async def read(self, ask: Callable[[ClusterState], T]) -> T:
        """Return what `ask` says of the state, once all that it saw is durable. It must not change the state."""
        return await self.engine.writer.read(ask)

    def lines(self, selector: LineSelector, options: LineOptions | None = None) -> AsyncIterator[PublishedLine]:
        """Yield what tasks printed: the past in order of time, then, when following, what comes."""
        return self.engine.dispatcher.broker.lines(selector, options or LineOptions())

    async def events(self, after: Position = START) -> AsyncIterator[Record]:
        """Yield every record after a position, oldest first, and then each new one when it is durable.

        They end with the engine, as when the swarm is left.
        """
        async with aclosing(watching.records(self.engine, after)) as records:
            async for record in records:
                yield record

    def changes(self, *, since: Instant | None = None, until: Instant | None = None) -> AsyncIterator[Change]:
        """Yield changes as Swarm's own events tell them, from `since` (default: now) to `until` or the engine's end."""
        return watching.changes(self.engine, since=since, until=until)

    async def converged(self, service: str | None = None, *, timeout_s: float = 60.0) -> None:
        """Return when the service, or every service, runs what its spec wants and no update is under way.

        Raises:
            NoSwarm: it was left meanwhile.
            TimedOut: it did not come to that in time; the message says what is missing.
            Rejected: there is no such service.
        """
        missing = ""
        with anyio.move_on_after(timeout_s):
            async with aclosing(watching.durable(self.engine)) as groups:
                async for _ in groups:
                    missing = await self.read(lambda state: watching.missing(state, service))
                    if not missing:
                        return
                raise NoSwarm  # it ended meanwhile
        raise TimedOut(f"not converged within {timeout_s:g} s: {missing}")

    async def gone(self, service: str, *, timeout_s: float = 60.0) -> None:
        """Return when nothing is left of a removed service: no task of it is known any more."""
        ids = await self.read(lambda state: watching.called(state, service))
        with anyio.move_on_after(timeout_s):
            async with aclosing(watching.durable(self.engine)) as groups:
                async for _ in groups:
                    if await self.read(lambda state: not any(watching.remains(state, i) for i in ids)):
                        return
                raise NoSwarm  # it ended meanwhile
        raise TimedOut(f"service {service} is not gone within {timeout_s:g} s")

    async def ready(self, node_id: NodeId, *, timeout_s: float = 60.0) -> bool:
        """Return whether a node is ready within `timeout_s`.

        Raises:
            NoSwarm: there is none.
        """
        with anyio.move_on_after(timeout_s):
            await watching.ready(self.engine, node_id)
        return await self.read(lambda state: watching.is_ready(state, node_id))

    # --- beginning and ending; called by `Swarm`

    async def begin(self, first_words: Callable[[Engine, str], Awaitable[None]], listen_addr: str = "") -> Engine:
        """Begin a log, say `first_words` in it, and run it; they are told where workers come in, if they do."""
        async with self._changing:
            if self._engine is not None or self._locked is not None:
                raise AlreadyInSwarm
            opened = self._gate.open(listen_addr) if self._gate is not None else None
            addr = opened.addr if opened is not None else ""
            try:
                store = await self._storage.begin()
                return await self._start(store, lambda engine: first_words(engine, addr), opened)
            except BaseException:
                if opened is not None:
                    opened.close()
                raise

    async def end(self) -> None:
        """Stop the engine of a swarm that was left, and close its log for good."""
        async with self._changing:
            await self._stop()

    async def unlock(self, unlock_key: bytes) -> None:
        """Open the keyring, and run what was recovered.

        Raises:
            NoSwarm, NotLocked: there is nothing to unlock.
            UnlockRefused: that is not the key.
            CannotListen: the address for workers is taken; it is still locked.
        """
        async with self._changing:
            engine = self._locked
            if engine is None:
                raise NotLocked if self.active else NoSwarm
            try:
                await engine.store.keyring.unlock(unlock_key)
            except WrongUnlockKey:
                raise UnlockRefused from None
            opened = self._gate.open(_listen_addr(engine.writer.state)) if self._gate is not None else None
            self._locked = None
            await self._go_on(engine, None, opened)

    async def abandon(self, actor: Actor) -> None:
        """Leave a swarm that is locked."""
        async with self._changing:
            engine = self._locked
            if engine is None:
                raise NoSwarm
            await engine.abandon(actor)
            self._locked = None
            await engine.close()
            if self._gate is not None:
                await self._gate.forsake(engine)

    async def _resume(self) -> None:
        store = await self._storage.latest()
        if store is None:
            return
        if (await store.log.head()).position == START:
            await store.aclose()  # a crash cut an init short before its first record
            return
        await self._start(store, None, None)

    async def _start(
        self, store: Store, first_words: Callable[[Engine], Awaitable[None]] | None, opened: OpenGate | None
    ) -> Engine:
        engine = Engine(store, self._local, clock=self.clock, ids=self.ids, version=VERSION, draw=self._draw)
        try:
            state = await engine.recover()
            ended = state.left or (state.cluster is None and first_words is None)
            if not ended and first_words is None and await store.keyring.locked():
                self._locked = engine
                return engine
            if self._gate is not None and opened is None and state.cluster is not None and not state.left:
                opened = self._gate.open(_listen_addr(state))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await store.aclose()
            raise
        if ended:
            await store.aclose()
            return engine
        return await self._go_on(engine, first_words, opened)

    async def _go_on(
        self, engine: Engine, first_words: Callable[[Engine], Awaitable[None]] | None, opened: OpenGate | None
    ) -> Engine:
        self.recovered = told(engine)
        self.resumed = first_words is None
        self._ended = anyio.Event()
        try:
            await self._group.start(self._run, engine, first_words, opened)
        except BaseExceptionGroup as failed:
            raise only(failed) from None
        # not before its own start is through: it would find the first client's keys and nothing that needs them
        self._engine = engine
        return engine

    async def _run(
        self,
        engine: Engine,
        first_words: Callable[[Engine], Awaitable[None]] | None,
        opened: OpenGate | None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                async with anyio.create_task_group() as group:
                    await group.start(engine.run, first_words)
                    async with opened.serve(engine) if opened is not None else nullcontext():
                        task_status.started()
                        await anyio.sleep_forever()
        finally:
            self._engine = self._scope = None
            try:
                with anyio.CancelScope(shield=True):
                    await engine.close()
            finally:
                self._ended.set()

    async def _stop(self) -> None:
        locked, self._locked = self._locked, None
        if locked is not None:
            await locked.close()
        if self._scope is None:
            return
        self._scope.cancel()
        await self._ended.wait()


def _listen_addr(state: ClusterState) -> str:
    return next((node.manager.listen_addr for node in state.nodes.values() if node.manager is not None), "")
