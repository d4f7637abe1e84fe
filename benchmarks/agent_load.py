"""Agents that speak SwarmKit's worker protocol, with tasks that run nothing: one process of them.

    python benchmarks/agent_load.py HOST:PORT COUNT FIRST

Each agent joins by a token as dockerd does, over three connections, and then has one with Session, Assignments,
ListenSubscriptions and heartbeats. It reports as SwarmKit's agent does: one call at a time, one task in a call, and a
state that is superseded before its turn is never sent. Tasks go through their states at once. HTTP/2 and TLS are
grpcio's, which checks the manager's certificate from the first connection on: dockerd does from the second.

The first line on standard input is a JSON object with the `token` and the `root` that is trusted. At the second it
joins, and it ends when standard input is closed. Whenever something changed, it writes a line of JSON: see `Counts`.
"""

import asyncio
import gc
import hashlib
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2, logbroker_pb2, objects_pb2, types_pb2

SERVICE = "/docker.swarmkit.v1."

#: Joins under way at a time, in one process.
JOINS_AT_ONCE = 25

#: How often what changed is told.
TELL_EVERY_S = 0.02

#: Until an agent that lost its session tries again, at first and at most, as SwarmKit's does.
BACKOFF_S = (0.1, 8.0)

STATES = types_pb2.TaskState.Value
ACCEPTED, READY, RUNNING, SHUTDOWN = STATES("ACCEPTED"), STATES("READY"), STATES("RUNNING"), STATES("SHUTDOWN")
SAID = {ACCEPTED: "accepted", READY: "prepared", RUNNING: "started", SHUTDOWN: "shutdown"}

#: Channels to one address share a connection otherwise; calls that failed are for the agent to repeat.
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1))


class Ended(Exception):
    """The manager ended a stream of the session."""


class Counts:
    """What all agents of this process have come to."""

    def __init__(self) -> None:
        #: agents that were sent all that they are assigned
        self.ready = 0
        #: tasks, by image, of which the manager confirmed that they run
        self.running: Counter[str] = Counter()
        #: tasks that agents know, in whatever state
        self.tasks = 0
        #: calls that were made, sessions that were lost, and why the last one was
        self.calls = 0
        self.lost = 0
        self.reason = ""
        #: the longest time in which a heartbeat was answered since the last line on standard input
        self.heartbeat_s = 0.0

    def line(self) -> str:
        """Return all, as JSON."""
        return json.dumps({**vars(self), "running": {image: n for image, n in self.running.items() if n}})


class Task:
    """A task as its agent knows it: what it is in, and what of that was confirmed."""

    __slots__ = ("confirmed", "container_id", "image", "state")

    def __init__(self, task: objects_pb2.Task) -> None:
        self.image = task.spec.container.image
        self.container_id = f"{random.getrandbits(256):064x}"
        self.state = task.status.state
        self.confirmed = 0


class Agent:
    """One agent."""

    def __init__(self, number: int, addr: str, token: str, root: bytes, counts: Counts) -> None:
        self._hostname = f"agent{number}"
        self._addr, self._token, self._root = addr, token, root
        self._counts = counts
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        self._csr = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self._key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._chain: bytes | None = None
        self._tasks: dict[str, Task] = {}
        # soft state of the session
        self._session_id = ""
        self._ready = False
        self._unsent: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def join(self) -> None:
        """Get a certificate."""
        async with self._channel("swarm-ca") as channel:
            call = _unary(channel, "CA/GetRootCACertificate", ca_pb2.GetRootCACertificateResponse)
            root = (await call(ca_pb2.GetRootCACertificateRequest())).certificate
        digest = int(hashlib.sha256(root).hexdigest(), 16)
        assert _base36(digest, 50) == self._token.split("-")[2], "the root is not that of the token"
        async with self._channel("swarm-ca") as channel:
            call = _unary(channel, "NodeCA/IssueNodeCertificate", ca_pb2.IssueNodeCertificateResponse)
            node_id = (await call(ca_pb2.IssueNodeCertificateRequest(csr=self._csr, token=self._token))).node_id
            call = _unary(channel, "NodeCA/NodeCertificateStatus", ca_pb2.NodeCertificateStatusResponse)
            issued = (await call(ca_pb2.NodeCertificateStatusRequest(node_id=node_id))).certificate
        assert issued.csr == self._csr, "the certificate is for another request"
        self._chain = issued.certificate

    async def run(self) -> None:
        """Have sessions, one after another, until cancelled."""
        backoff = BACKOFF_S[0]
        while True:
            began = time.monotonic()
            try:
                async with self._channel("swarm-manager") as channel:
                    await self._live(channel)
            except* grpc.aio.AioRpcError as group:
                reason = "; ".join(f"{error.code()} {error.details()}" for error in _leaves(group))
            except* Ended as group:
                reason = "; ".join(map(str, _leaves(group)))
            self._forget_session(reason)
            backoff = BACKOFF_S[0] if time.monotonic() - began > BACKOFF_S[1] else min(2 * backoff, BACKOFF_S[1])
            await asyncio.sleep(backoff * random.random())  # noqa: S311 - no secret

    def _channel(self, name: str) -> grpc.aio.Channel:
        key = self._key if self._chain is not None else None
        credentials = grpc.ssl_channel_credentials(self._root, key, self._chain)
        options = (*OPTIONS, ("grpc.ssl_target_name_override", name))
        return grpc.aio.secure_channel(self._addr, credentials, options)

    # --- the session

    async def _live(self, channel: grpc.aio.Channel) -> None:
        """Have one session; ends by an error only."""
        description = types_pb2.NodeDescription(
            hostname=self._hostname,
            platform=types_pb2.Platform(architecture="x86_64", os="linux"),
            resources=types_pb2.Resources(nano_cpus=4_000_000_000, memory_bytes=8 << 30),
            engine=types_pb2.EngineDescription(engine_version="28.2.2"),
        )
        request = dispatcher_pb2.SessionRequest(description=description, session_id=self._session_id)
        messages = _stream(channel, "Dispatcher/Session", dispatcher_pb2.SessionMessage, request)
        self._session_id = (await anext(messages)).session_id
        async with asyncio.TaskGroup() as group:
            group.create_task(_drain(messages))
            group.create_task(self._take_assignments(channel))
            request = logbroker_pb2.ListenSubscriptionsRequest()
            said = logbroker_pb2.SubscriptionMessage
            group.create_task(_drain(_stream(channel, "LogBroker/ListenSubscriptions", said, request)))
            group.create_task(self._beat(channel))
            group.create_task(self._report(channel))

    async def _take_assignments(self, channel: grpc.aio.Channel) -> None:
        request = dispatcher_pb2.AssignmentsRequest(session_id=self._session_id)
        said = dispatcher_pb2.AssignmentsMessage
        async for message in _stream(channel, "Dispatcher/Assignments", said, request):
            self._assigned(message)

    async def _beat(self, channel: grpc.aio.Channel) -> None:
        call = _unary(channel, "Dispatcher/Heartbeat", dispatcher_pb2.HeartbeatResponse)
        request = dispatcher_pb2.HeartbeatRequest(session_id=self._session_id)
        while True:
            asked = time.perf_counter()
            self._counts.calls += 1
            try:
                period = (await call(request)).period
            finally:
                self._counts.heartbeat_s = max(self._counts.heartbeat_s, time.perf_counter() - asked)
            await asyncio.sleep(period.seconds + period.nanos / 1e9)

    def _forget_session(self, reason: str) -> None:
        self._counts.lost += 1
        self._counts.reason = reason
        self._counts.ready -= self._ready
        self._ready = False

    # --- tasks

    def _assigned(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        if message.type == dispatcher_pb2.AssignmentsMessage.COMPLETE:
            named = {change.assignment.task.id for change in message.changes}
            for task_id in [task_id for task_id in self._tasks if task_id not in named]:
                self._remove(task_id)
            self._counts.ready += not self._ready
            self._ready = True
            for task_id, task in self._tasks.items():
                self._send(task_id, task.state)
        for change in message.changes:
            if change.assignment.WhichOneof("item") != "task":
                continue
            task = change.assignment.task
            if change.action == dispatcher_pb2.AssignmentChange.REMOVE:
                self._remove(task.id)
            else:
                self._update(task)

    def _update(self, assigned: objects_pb2.Task) -> None:
        task_id, desired = assigned.id, assigned.desired_state
        task = self._tasks.get(task_id)
        if task is None:
            task = self._tasks[task_id] = Task(assigned)
            self._counts.tasks += 1
        if desired >= SHUTDOWN:
            self._reach(task_id, task, SHUTDOWN)
        elif task.state < desired:
            # the first report may be on its way when the next state is reached
            self._reach(task_id, task, ACCEPTED)
            asyncio.get_running_loop().call_soon(self._go_on, task_id, task, desired)

    def _go_on(self, task_id: str, task: Task, desired: int) -> None:
        if task_id in self._tasks:
            self._reach(task_id, task, READY if desired <= READY else RUNNING)

    def _reach(self, task_id: str, task: Task, state: int) -> None:
        if task.state < state:
            task.state = state
            self._send(task_id, state)

    def _send(self, task_id: str, state: int) -> None:
        self._unsent[task_id] = state
        self._changed.set()

    def _remove(self, task_id: str) -> None:
        task = self._tasks.pop(task_id, None)
        self._unsent.pop(task_id, None)
        if task is not None:
            self._counts.tasks -= 1
            self._counts.running[task.image] -= task.confirmed == RUNNING

    async def _report(self, channel: grpc.aio.Channel) -> None:
        """Send what is reached, one after another."""
        call = _unary(channel, "Dispatcher/UpdateTaskStatus", dispatcher_pb2.UpdateTaskStatusResponse)
        while True:
            if not self._unsent:
                self._changed.clear()
                await self._changed.wait()
            task_id, state = next(iter(self._unsent.items()))
            del self._unsent[task_id]
            task = self._tasks[task_id]
            status = _status(task, state)
            update = dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id=task_id, status=status)
            self._counts.calls += 1
            # what is not answered is sent again: the next session begins with all states
            await call(dispatcher_pb2.UpdateTaskStatusRequest(session_id=self._session_id, updates=[update]))
            if task_id in self._tasks:
                self._counts.running[task.image] += (state == RUNNING) - (task.confirmed == RUNNING)
                task.confirmed = state


def _unary(channel: grpc.aio.Channel, method: str, answer: Any) -> grpc.aio.UnaryUnaryMultiCallable:
    return channel.unary_unary(
        SERVICE + method, request_serializer=_serialized, response_deserializer=answer.FromString
    )


async def _stream(channel: grpc.aio.Channel, method: str, answer: Any, request: Any) -> AsyncIterator[Any]:
    call = channel.unary_stream(
        SERVICE + method, request_serializer=_serialized, response_deserializer=answer.FromString
    )
    async for message in call(request):
        yield message
    raise Ended(f"{method} ended")


async def _drain(messages: AsyncIterator[Any]) -> None:
    async for _ in messages:
        pass


def _serialized(message: Any) -> bytes:
    return message.SerializeToString()


def _leaves(group: BaseExceptionGroup[Any]) -> list[Any]:
    return [leaf for each in group.exceptions for leaf in (_leaves(each) if hasattr(each, "exceptions") else [each])]


def _status(task: Task, state: int) -> types_pb2.TaskStatus:
    status = types_pb2.TaskStatus(state=state, message=SAID[state])
    status.timestamp.FromNanoseconds(time.time_ns())
    if state >= READY:
        pid = 4711 if state == RUNNING else 0
        status.container.CopyFrom(types_pb2.ContainerStatus(container_id=task.container_id, pid=pid))
        status.port_status.SetInParent()
    return status


def _base36(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits.rjust(width, "0")


async def main() -> None:
    """Run agents until standard input is closed."""
    addr, count, first = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    given = json.loads(sys.stdin.buffer.raw.readline())
    token, root = given["token"], given["root"].encode()
    counts = Counts()
    agents = [Agent(int(first) + number, addr, token, root, counts) for number in range(int(count))]
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("prepared", flush=True)
    await commands.readline()
    places = asyncio.Semaphore(JOINS_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_joined(agent, places)) for agent in agents]
        running.append(group.create_task(_tell(counts)))
        while await commands.readline():
            counts.heartbeat_s = 0.0
        for each in running:
            each.cancel()


async def _joined(agent: Agent, places: asyncio.Semaphore) -> None:
    async with places:
        await agent.join()
    await agent.run()


async def _tell(counts: Counts) -> None:
    told = ""
    while True:
        line = counts.line()
        if line != told:
            print(line, flush=True)
            told = line
        await asyncio.sleep(TELL_EVERY_S)


if __name__ == "__main__":
    asyncio.run(main())
