"""The engine: one swarm's store, writer, dispatcher and agents, run together.

| what fails | what stops |
|---|---|
| an append for lack of room, or with an unknown outcome | nothing: the writer replays and tries again |
| the log is taken by another, damaged, or a plan is wrong | the engine: `run` raises |
| an agent's session | that session; its tasks go on |
| an executor | its agent, and with it the engine: `run` raises |
"""

import secrets
from collections.abc import Awaitable, Callable

import anyio
import structlog
from anyio.abc import TaskStatus
from msgspec import Struct

from skep.core.codec import encode_state
from skep.core.commands import JoinNodes, LeaveSwarm, StartEngine
from skep.core.fold import FOLD_VERSION
from skep.core.record import Actor
from skep.core.rules.swarm import is_locking
from skep.core.state import ClusterState
from skep.model.ids import START, NodeId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.states import Availability, Role
from skep.ports.checkpoints import Checkpoint
from skep.ports.clock import Clock, Draw, Ids
from skep.ports.event_log import Claim, LogError
from skep.ports.executor import Executor
from skep.ports.lines import LineStore
from skep.ports.link import Link
from skep.ports.storage import Store
from skep.runtime.agent import Agent
from skep.runtime.attaching import Attaching
from skep.runtime.authority import parse_unlock_key
from skep.runtime.dispatcher import Dispatcher
from skep.runtime.keys import destroy_orphans
from skep.runtime.membership import Membership
from skep.runtime.recovery import recover_since, state_at
from skep.runtime.sealing import unseal
from skep.runtime.turn import Durable
from skep.runtime.upkeep import Upkeep
from skep.runtime.writer import Writer

#: A checkpoint is due after so many records; recovery folds at most about twice as many.
CHECKPOINT_RECORDS = 20_000

_log = structlog.get_logger("skep.engine")

ENGINE = Actor("engine")

#: What makes the executor of the node with this name and number (from 1); None where its agent is outside.
ExecutorFactory = Callable[[str, int], Executor | None]


#: What makes the link of a local node's agent to this engine. A test puts a cable here, which it can cut.
Wire = Callable[["Engine", NodeId], Link]


def direct(engine: "Engine", node_id: NodeId) -> Link:
    """Return the link that nothing befalls."""
    return engine.dispatcher.link(node_id)


class LocalNodes(Struct, frozen=True):
    """The nodes that live in this process: their names, what runs their tasks, and where their lines are kept."""

    names: tuple[str, ...]
    executor: ExecutorFactory
    lines: LineStore
    addr: str = "127.0.0.1"
    wire: Wire = direct


class Engine:
    """One swarm, running."""

    def __init__(
        self,
        store: Store,
        nodes: LocalNodes,
        *,
        clock: Clock,
        ids: Ids,
        version: str,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        self.store = store
        self.writer = Writer(
            store.log,
            self._recover,
            lambda head: state_at(store.log, store.checkpoints, head.position, head.digest),
            clock=clock,
            ids=ids,
        )
        self.dispatcher = Dispatcher(self.writer, store.keyring, ids=ids)
        self.membership = Membership(self.writer, store.keyring, clock=clock, ids=ids, draw=draw)
        self.attaching = Attaching(self.writer, ids=ids)
        self.upkeep = Upkeep(self.writer, store.keyring, clock=clock, ids=ids, draw=draw)
        self._nodes = nodes
        self.clock = clock
        self.draw = draw
        self._ids = ids
        self._version = version
        self._checkpointed = START
        self._due = anyio.Event()
        self.writer.on_durable.append(self._count)

    @property
    def node_id(self) -> NodeId:
        """The manager's node."""
        return next((n.id for n in self.writer.state.nodes.values() if n.manager is not None), NodeId(""))

    async def recover(self) -> ClusterState:
        """Claim the log and replay it; return the state. Raises what the log raises."""
        await self.writer.start()
        return self.writer.state

    async def _recover(self) -> tuple[Claim, ClusterState]:
        # a checkpoint is due by what a recovery had to fold, so that a series of crashes still makes one
        claim, state, self._checkpointed = await recover_since(self.store)
        return claim, state

    async def run(
        self,
        first_words: Callable[["Engine"], Awaitable[None]] | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until cancelled; started when its own start is in the log and its nodes are members.

        `first_words` are what begins a new log.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self.writer.run)
            if first_words is not None:
                await first_words(self)
            self.writer.opening = StartEngine(self._version, hostname=self._nodes.names[0])
            await self.writer.submit(self.writer.opening, actor=ENGINE)
            await destroy_orphans(self.store.keyring, self.writer)
            await self.keep_locked()
            await self.dispatcher.liveness.doubt_all()
            members = await self._join()
            manager = self.writer.state.nodes.get(self.node_id)
            addrs = [manager.status.addr if manager else "", *(self._nodes.addr for _ in members[1:])]
            self.dispatcher.liveness.expect_all(self.dispatcher.heartbeat_s)
            group.start_soon(self.dispatcher.liveness.run)
            group.start_soon(self._checkpoint_forever)
            group.start_soon(self.upkeep.run)
            for number, (name, node_id, addr) in enumerate(zip(self._nodes.names, members, addrs, strict=True), 1):
                executor = self._nodes.executor(name, number)
                if executor is None:
                    continue
                agent = Agent(
                    self._nodes.wire(self, node_id),
                    executor,
                    self._nodes.lines,
                    node_id=node_id,
                    hostname=name,
                    addr=addr or self._nodes.addr,
                    clock=self.clock,
                )
                group.start_soon(agent.run)
            task_status.started()

    async def keep_locked(self) -> None:
        """Have the keyring locked with the swarm's unlock key, or not locked where that is not wanted.

        Raises:
            KeyringError: it cannot be; the next start tries again.
        """
        cluster = await self.writer.read(lambda state: state.cluster)
        key = None
        if cluster is not None and is_locking(cluster.spec) and cluster.unlock_key is not None:
            key = parse_unlock_key((await unseal(self.store.keyring, cluster.unlock_key)).decode())
        await self.store.keyring.lock_with(key)

    async def abandon(self, actor: Actor) -> None:
        """Say in the log of a recovered engine that does not run that its swarm was left; no key is needed for that."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.writer.run)
            await self.writer.submit(LeaveSwarm(), actor=actor)
            group.cancel_scope.cancel()

    async def close(self) -> None:
        """Save the state, move the anchor and close the store: after a clean stop nothing needs to be folded.

        What cannot be saved costs time at the next start, and is a warning.
        """
        head = self.writer.head
        try:
            if head.position and self.writer.ended_whole:
                await self.store.checkpoints.save(
                    Checkpoint(head.position, head.digest, FOLD_VERSION, encode_state(self.writer.state))
                )
                await self.store.anchor(head)
        except (LogError, OSError) as error:
            _log.warning("engine.state_not_saved", position=head.position, reason=str(error))
        finally:
            await self.store.aclose()

    async def _join(self) -> list[NodeId]:
        """Return the ids of this process's nodes; those that are no members yet join as workers."""
        known = await self.writer.read(
            lambda state: {
                n.description.hostname: n.id for n in state.nodes.values() if n.manager is None and not n.certified
            }
        )
        members = [self.node_id]
        new: list[tuple[NodeId, str]] = []
        for name in self._nodes.names[1:]:
            node_id = known.get(name)
            if node_id is None:
                node_id = NodeId(self._ids.new())
                new.append((node_id, name))
            members.append(node_id)
        if new:
            await self.writer.submit(
                JoinNodes(
                    node_ids=tuple(i for i, _ in new),
                    specs=(NodeSpec(labels={}, role=Role.WORKER, availability=Availability.ACTIVE),) * len(new),
                    descriptions=tuple(NodeDescription(hostname=name) for _, name in new),
                    addrs=(self._nodes.addr,) * len(new),
                    managers=(None,) * len(new),
                ),
                actor=ENGINE,
            )
        return members

    def _count(self, durable: Durable) -> None:
        if durable.records[-1].position - self._checkpointed >= CHECKPOINT_RECORDS:
            self._checkpointed = durable.records[-1].position
            self._due.set()

    async def _checkpoint_forever(self) -> None:
        while True:
            await self._due.wait()
            self._due = anyio.Event()
            await self.store.make_checkpoint(self.writer.head)
