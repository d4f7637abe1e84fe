"""The dispatcher: carries tasks to the agents of their nodes, and what agents report to the writer.

Sessions and heartbeats are its soft state; silence becomes a command (`skep.runtime.liveness`). What agents are sent is
durable first. Its shape is SwarmKit's; see `skep.ports.link`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio
import msgspec
import structlog
from msgspec.structs import replace

from skep.core.commands import Command, DescribeNode, ObserveNodes, ReportTasks
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.core.rules.swarm import needs_certificate
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, NetworkId, NodeId, SecretId
from skep.model.states import NodeState, TaskState
from skep.model.swarm import NetworkKey
from skep.ports.clock import Ids
from skep.ports.keyring import Keyring, KeyringError
from skep.ports.link import (
    AssignedTask,
    AssignmentChange,
    AssignmentKind,
    AssignmentsMessage,
    ForeignTask,
    LinkError,
    NoMember,
    Peer,
    PlainKey,
    PublishedLine,
    SessionMessage,
    SessionRequest,
    SubscriptionMessage,
    TaskReport,
)
from skep.runtime.broker import Broker
from skep.runtime.errors import EngineError
from skep.runtime.liveness import Liveness
from skep.runtime.pull_credentials import PullCredentials
from skep.runtime.registrations import Registrations
from skep.runtime.sealing import unseal
from skep.runtime.session import Session
from skep.runtime.turn import Durable
from skep.runtime.writer import Writer

T = TypeVar("T")

_log = structlog.get_logger("skep.dispatcher")

#: Rows and bytes of one report command. A record holds them twice, and stays well below its limit.
REPORT_ROWS_MAX = 1000
REPORT_BYTES_MAX = 256 * 1024

#: Characters of a task's message or error that are kept.
WORDS_MAX = 4096

DEFAULT_HEARTBEAT_S = 5.0

#: A swarm's spec may say less, as on Swarm; then nobody would do anything but beat, and be down between two looks.
HEARTBEAT_S_MIN = 0.1

#: What a node is told to be in whose agent ended its session by itself; skep's own words.
TOOK_LEAVE = "agent ended its session"


class Dispatcher:
    """Every agent's counterpart. `link(node_id)` is what an agent of this process is given."""

    def __init__(self, writer: Writer, keyring: Keyring, *, ids: Ids) -> None:
        self._writer = writer
        self._keyring = keyring
        self._ids = ids
        self.sessions: dict[NodeId, Session] = {}
        self.liveness = Liveness(writer, self.sessions)
        self._registrations = Registrations()
        self._unreadable: dict[SecretId, None] = {}
        self._credentials = PullCredentials(keyring)
        #: set when any node registers, and then another one
        self._arrived = asyncio.Event()
        #: the keys of the data plane, sealed and in plain
        self._keys: tuple[tuple[NetworkKey, ...], tuple[PlainKey, ...]] = ((), ())
        self.broker = Broker(writer, self.sessions, ids=ids)
        writer.on_durable.append(self._spread)
        writer.on_recovered.append(self._end_all)

    def link(self, node_id: NodeId) -> "LocalLink":
        """Return the link of an agent in this process, bound to its node."""
        return LocalLink(self, node_id)

    @property
    def heartbeat_s(self) -> float:
        """Seconds between heartbeats, as the swarm's spec says, and not too few."""
        cluster = self._writer.state.cluster
        if cluster is None or cluster.spec.dispatcher is None or not cluster.spec.dispatcher.heartbeat_period:
            return DEFAULT_HEARTBEAT_S
        return max(HEARTBEAT_S_MIN, cluster.spec.dispatcher.heartbeat_period / NANOSECONDS)

    async def register(self, node_id: NodeId, request: SessionRequest) -> Session:
        """Begin a session; a former one of the same node ends."""
        if node_id not in self._writer.state.nodes:
            raise NoMember(f"node {node_id} is no member of this swarm")
        self._registrations.note(node_id, anyio.current_time())
        session = Session(self._ids.new(), node_id)
        former = self.sessions.get(node_id)
        if former is not None:
            former.end("another session of this node began")
        self.sessions[node_id] = session
        self._arrived.set()
        self._arrived = asyncio.Event()
        self.liveness.heard(node_id, self.heartbeat_s)
        try:
            await self._submit(
                node_id,
                DescribeNode(node_id, request.description, request.addr),
                ObserveNodes((node_id,), NodeState.READY),
            )
        except BaseException:
            self.leave(session)
            raise
        return session

    def leave(self, session: Session) -> None:
        """Forget a session. Its node counts as heard until its heartbeats are missed."""
        session.end("the agent left")
        if self.sessions.get(session.node_id) is session:
            del self.sessions[session.node_id]

    async def part(self, session: Session) -> None:
        """Forget a session whose agent took leave: its node is disconnected, unless another one lives."""
        lives = self.sessions.get(session.node_id) is session and not session.ended
        self.leave(session)
        if lives:
            with suppress(LinkError):  # what cannot be said now shows when its heartbeats are missed
                node_ids = (session.node_id,)
                await self._submit(session.node_id, ObserveNodes(node_ids, NodeState.DISCONNECTED, TOOK_LEAVE))

    async def expected(self, node_id: NodeId) -> Session:
        """Return a node's live session, as soon as there is one."""
        while (session := self.sessions.get(node_id)) is None or session.ended:
            await self._arrived.wait()
        return session

    async def doubt_others(self, own: NodeId) -> None:
        """Have every agent register anew, but for that of the node `own`."""
        await self.liveness.doubt_all(but=own)
        for node_id, session in list(self.sessions.items()):
            if node_id != own:
                session.end("the swarm begins anew")

    def find(self, session_id: str, node_id: NodeId) -> Session:
        """Return a node's live session; raise `LinkError` if it is another or has ended."""
        session = self.sessions.get(node_id)
        if session is None or session.id != session_id or session.ended:
            raise LinkError(f"session {session_id} of node {node_id} is not known")
        return session

    async def message(self, session: Session) -> SessionMessage:
        """Return all that the session's agent must know."""

        def ask(state: ClusterState) -> tuple[SessionMessage, tuple[NetworkKey, ...]]:
            node = state.nodes.get(session.node_id)
            if node is None:
                raise LinkError(f"node {session.node_id} was removed")
            managers = tuple(Peer(n.id, n.manager.addr) for n in state.nodes.values() if n.manager is not None)
            cluster = state.cluster
            attached = (state.networks.get(one.network_id) for one in node.attachments)
            message = SessionMessage(
                session.id,
                node,
                managers,
                root_ca=cluster.root.certificate if cluster else "",
                networks=tuple(network for network in attached if network is not None),
                renew=cluster is not None and needs_certificate(node, cluster),
            )
            return message, cluster.network_keys if cluster else ()

        session.told.clear()
        message, sealed = await self._read(ask)
        return replace(message, network_keys=await self._network_keys(sealed))

    async def _network_keys(self, sealed: tuple[NetworkKey, ...]) -> tuple[PlainKey, ...]:
        """Return the keys of the data plane in plain; they are opened once."""
        if self._keys[0] != sealed:
            try:
                keys = [PlainKey(k.subsystem, await unseal(self._keyring, k.key), k.lamport) for k in sealed]
            except KeyringError as error:  # rotated meanwhile: whoever waits is told again
                raise LinkError(str(error)) from error
            self._keys = sealed, tuple(keys)
        return self._keys[1]

    async def changes(self, session: Session, *, complete: bool) -> tuple[AssignmentChange, ...]:
        """Return what the node is assigned, or what changed of it, dependencies first; durable."""
        found = await self._read(session.everything if complete else session.news)
        dependencies = found.dependencies
        for secret, sealed in found.sealed:
            try:
                data = await unseal(self._keyring, sealed)
            except KeyringError as error:
                # removed meanwhile, and the tasks that name it are to stop; or its key is lost, and they are rejected
                if secret.id in await self._read(lambda state: [*state.secrets]):
                    self._warn_of_unreadable(secret.id, error)
                continue
            dependencies.append(AssignmentChange(replace(secret, data=data)))
        tasks = await self._credentials.opened(found.tasks, self._writer.state)
        return (*dependencies, *tasks, *found.removed)

    def _warn_of_unreadable(self, secret_id: SecretId, error: KeyringError) -> None:
        if secret_id not in self._unreadable:
            self._unreadable[secret_id] = None
            _log.warning("dispatcher.secret_unreadable", secret_id=secret_id, reason=str(error))

    async def report(self, node_id: NodeId, reports: Sequence[TaskReport]) -> None:
        """Have a node's reports become durable; raise `ForeignTask`, and take none, if one is of another's task."""
        tasks = self._writer.state.tasks
        for each in reports:
            if each.task_id in tasks and tasks[each.task_id].node_id != node_id:
                raise ForeignTask(f"task {each.task_id} is not one of node {node_id}")
        for rows in _batches(reports):
            await self._submit(
                node_id, ReportTasks(node_id, tuple(r.task_id for r in rows), tuple(r.status for r in rows))
            )
            session = self.sessions.get(node_id)
            if session is not None:
                session.note_over(r.task_id for r in rows if r.status.state.terminal)

    def check_lines(self, node_id: NodeId, lines: Sequence[PublishedLine]) -> None:
        """Raise `LinkError` unless a node is a member and its lines are of its own tasks, as far as they are known."""
        state = self._writer.state
        if node_id not in state.nodes:
            raise LinkError(f"node {node_id} is no member of this swarm")
        for line in lines:
            task = state.tasks.get(line.task_id)
            if line.node_id != node_id or (task is not None and task.node_id != node_id):
                raise LinkError(f"node {node_id} published lines of another node")

    async def _read(self, ask: Callable[[ClusterState], T]) -> T:
        try:
            return await self._writer.read(ask)
        except EngineError as error:
            raise LinkError(str(error)) from error

    async def _submit(self, node_id: NodeId, *commands: Command) -> None:
        try:
            for command in commands:
                await self._writer.submit(command, actor=Actor("agent", node_id))
        except (EngineError, Rejected) as error:
            raise LinkError(str(error)) from error

    def _spread(self, durable: Durable) -> None:
        """Tell sessions what became durable for them."""
        for node_id, task_ids in durable.touched.assignments.items():
            session = self.sessions.get(node_id)
            if session is not None:
                session.dirty |= task_ids
                session.assigned.set()
        for node_id in durable.touched.sessions:
            session = self.sessions.get(node_id)
            removed = node_id not in self._writer.state.nodes
            if removed:
                self.liveness.forget(node_id)
                self._registrations.forget(node_id)
            if session is not None and removed:
                session.end(f"node {node_id} was removed")
            elif session is not None:
                session.told.set()

    def _end_all(self) -> None:
        """End every session: after a replay nobody knows what they rest on. Agents come back, tasks go on."""
        for session in list(self.sessions.values()):
            session.end("the engine recovered its log")
        self.sessions.clear()
        self._registrations.clear()


class LocalLink:
    """The `Link` of an agent in this process; fulfils `skep.ports.link.Link`."""

    def __init__(self, dispatcher: Dispatcher, node_id: NodeId) -> None:
        self._dispatcher = dispatcher
        self._node_id = node_id

    @asynccontextmanager
    async def session(self, request: SessionRequest) -> AsyncIterator[AsyncIterator[SessionMessage]]:
        """Register, and yield the stream of session messages. An orderly end says that the agent leaves."""
        session = await self._dispatcher.register(self._node_id, request)
        try:
            yield self._messages(session)
        except BaseException:
            self._dispatcher.leave(session)
            raise
        await self._dispatcher.part(session)

    async def _messages(self, session: Session) -> AsyncIterator[SessionMessage]:
        while True:
            _check(session)
            message = await self._dispatcher.message(session)
            session.attached.told(one.network_id for one in message.node.attachments)
            yield message
            await session.told.wait()

    async def heartbeat(self, session_id: str) -> float:
        """Tell that the agent lives."""
        await anyio.lowlevel.checkpoint()
        self._dispatcher.find(session_id, self._node_id)
        period = self._dispatcher.heartbeat_s
        self._dispatcher.liveness.heard(self._node_id, period)
        return period

    async def assignments(self, session_id: str) -> AsyncIterator[AssignmentsMessage]:
        """Yield everything, then changes."""
        session = self._dispatcher.find(session_id, self._node_id)
        sequence = 1
        changes = await self._dispatcher.changes(session, complete=True)
        await session.attached.known(_networks_of(changes))
        yield AssignmentsMessage(AssignmentKind.COMPLETE, "", str(sequence), changes)
        while True:
            await session.assigned.wait()
            _check(session)
            changes = await self._dispatcher.changes(session, complete=False)
            if changes:
                await session.attached.known(_networks_of(changes))
                _check(session)
                sequence += 1
                yield AssignmentsMessage(AssignmentKind.INCREMENTAL, str(sequence - 1), str(sequence), changes)

    async def update_task_status(self, session_id: str, reports: Sequence[TaskReport]) -> None:
        """Report; durable when this returns."""
        self._dispatcher.find(session_id, self._node_id)
        await self._dispatcher.report(self._node_id, reports)

    async def subscriptions(self, session_id: str) -> AsyncIterator[SubscriptionMessage]:
        """Yield subscriptions as they come and go."""
        session = self._dispatcher.find(session_id, self._node_id)
        # what lives is said now, and must not be said twice
        session.subscriptions.clear()
        session.listening.clear()
        self._dispatcher.broker.resend(session)
        while True:
            await session.subscribed.wait()
            _check(session)
            for message in session.take_subscriptions():
                yield message

    async def publish_lines(self, subscription_id: str, lines: Sequence[PublishedLine], *, close: bool) -> bool:
        """Hand lines to whoever subscribed. Lines of another node's tasks are refused."""
        self._dispatcher.check_lines(self._node_id, lines)
        return await self._dispatcher.broker.publish(subscription_id, self._node_id, lines, close=close)


def _networks_of(changes: Sequence[AssignmentChange]) -> tuple[NetworkId, ...]:
    """Return the networks on which tasks that are to begin, or to go on, have an address; then their node has one."""
    tasks = [each.assignment for each in changes if isinstance(each.assignment, AssignedTask)]
    alive = [task for task in tasks if task.desired < TaskState.SHUTDOWN and not task.status.state.terminal]
    return tuple(dict.fromkeys(one.network.id for task in alive for one in task.networks if one.addr))


def _batches(reports: Sequence[TaskReport]) -> Iterator[list[TaskReport]]:
    """Yield reports in as many parts as fit into a record each, what they say in words cut to a sane length."""
    batch: list[TaskReport] = []
    size = 0
    for each in reports:
        report = _cut(each)
        bytes_of_it = len(msgspec.json.encode(report.status)) + len(report.task_id)
        if batch and (len(batch) == REPORT_ROWS_MAX or size + bytes_of_it > REPORT_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(report)
        size += bytes_of_it
    if batch:
        yield batch


def _cut(report: TaskReport) -> TaskReport:
    status = report.status
    if len(status.err) <= WORDS_MAX and len(status.message) <= WORDS_MAX:
        return report
    return TaskReport(report.task_id, replace(status, err=status.err[:WORDS_MAX], message=status.message[:WORDS_MAX]))


def _check(session: Session) -> None:
    if session.ended:
        raise LinkError(session.ended)
