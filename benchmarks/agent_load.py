"""Agents that speak SwarmKit's worker protocol, with tasks that run nothing: one process of them.

    python benchmarks/agent_load.py HOST:PORT TOKEN COUNT FIRST

Each agent joins by the token as dockerd does, over three connections, and then has one with Session, Assignments,
ListenSubscriptions and heartbeats. It reports as SwarmKit's agent does: one call at a time, one task in a call, and a
state that is superseded before its turn is never sent. Tasks go through their states at once.

It waits for a line on standard input before it joins, and ends when that is closed. Whenever something changed, it
writes a line of JSON: see `Counts`.
"""

import asyncio
import gc
import hashlib
import json
import os
import random
import resource
import ssl
import sys
import time
from collections import Counter
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http2_client import Connection, connect
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

    def __init__(self, number: int, host: str, port: int, token: str, counts: Counts) -> None:
        self._hostname = f"agent{number}"
        self._host, self._port, self._token = host, port, token
        self._counts = counts
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._context = ssl.create_default_context()
        self._tasks: dict[str, Task] = {}
        # soft state of the session
        self._connection: Connection | None = None
        self._session_id = ""
        self._ended: asyncio.Future[str] | None = None
        self._ready = False
        self._unsent: dict[str, int] = {}
        self._sending = False

    async def join(self) -> None:
        """Get a certificate."""
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        anybody.set_alpn_protocols(["h2"])
        connection = await connect(self._host, self._port, anybody, "swarm-ca")
        answer = await connection.ask(f"{SERVICE}CA/GetRootCACertificate", b"")
        connection.close()
        root = ca_pb2.GetRootCACertificateResponse.FromString(answer).certificate
        digest = int(hashlib.sha256(root).hexdigest(), 16)
        assert _base36(digest, 50) == self._token.split("-")[2], "the root is not that of the token"
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = request.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        connection = await connect(self._host, self._port, _context(root), "swarm-ca")
        issue = ca_pb2.IssueNodeCertificateRequest(csr=csr, token=self._token)
        answer = await connection.ask(f"{SERVICE}NodeCA/IssueNodeCertificate", issue.SerializeToString())
        node_id = ca_pb2.IssueNodeCertificateResponse.FromString(answer).node_id
        status = ca_pb2.NodeCertificateStatusRequest(node_id=node_id).SerializeToString()
        answer = await connection.ask(f"{SERVICE}NodeCA/NodeCertificateStatus", status)
        connection.close()
        issued = ca_pb2.NodeCertificateStatusResponse.FromString(answer).certificate
        assert issued.csr == csr, "the certificate is for another request"
        self._context = _context(root)
        _load(self._context, issued.certificate, self._key)

    async def run(self) -> None:
        """Have sessions, one after another, until cancelled."""
        backoff = BACKOFF_S[0]
        while True:
            began = time.monotonic()
            try:
                self._ended = asyncio.get_running_loop().create_future()
                self._connection = await connect(self._host, self._port, self._context, "swarm-manager")
                self._connection.on_lost = lambda: self._end("the connection was lost")
                self._begin(self._connection)
                reason = await self._ended
            except OSError as error:
                reason = str(error)
            self._forget_session(reason)
            backoff = BACKOFF_S[0] if time.monotonic() - began > BACKOFF_S[1] else min(2 * backoff, BACKOFF_S[1])
            await asyncio.sleep(backoff * random.random())  # noqa: S311 - no secret

    # --- the session

    def _begin(self, connection: Connection) -> None:
        description = types_pb2.NodeDescription(
            hostname=self._hostname,
            platform=types_pb2.Platform(architecture="x86_64", os="linux"),
            resources=types_pb2.Resources(nano_cpus=4_000_000_000, memory_bytes=8 << 30),
            engine=types_pb2.EngineDescription(engine_version="28.2.2"),
        )
        request = dispatcher_pb2.SessionRequest(description=description, session_id=self._session_id)
        self._session_id = ""
        connection.stream(f"{SERVICE}Dispatcher/Session", request.SerializeToString(), self._told, self._end)

    def _told(self, data: bytes) -> None:
        """Take a session message; with the first, all else begins."""
        message = dispatcher_pb2.SessionMessage.FromString(data)
        if self._session_id or self._connection is None:
            return
        self._session_id = message.session_id
        request = dispatcher_pb2.AssignmentsRequest(session_id=self._session_id).SerializeToString()
        self._connection.stream(f"{SERVICE}Dispatcher/Assignments", request, self._assigned, self._end)
        request = logbroker_pb2.ListenSubscriptionsRequest().SerializeToString()
        self._connection.stream(f"{SERVICE}LogBroker/ListenSubscriptions", request, lambda _: None, self._end)
        self._beat(self._connection)

    def _beat(self, connection: Connection) -> None:
        if connection is not self._connection:
            return
        asked = time.perf_counter()

        def answered(data: bytes, error: str) -> None:
            self._counts.heartbeat_s = max(self._counts.heartbeat_s, time.perf_counter() - asked)
            if error:
                self._end(error)
                return
            period = dispatcher_pb2.HeartbeatResponse.FromString(data).period
            asyncio.get_running_loop().call_later(period.seconds + period.nanos / 1e9, self._beat, connection)

        request = dispatcher_pb2.HeartbeatRequest(session_id=self._session_id).SerializeToString()
        self._counts.calls += 1
        connection.call(f"{SERVICE}Dispatcher/Heartbeat", request, answered)

    def _end(self, reason: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    def _forget_session(self, reason: str) -> None:
        self._counts.lost += 1
        self._counts.reason = reason
        self._counts.ready -= self._ready
        self._ready = False
        connection, self._connection = self._connection, None
        self._sending = False
        if connection is not None:
            connection.close()

    # --- tasks

    def _assigned(self, data: bytes) -> None:
        message = dispatcher_pb2.AssignmentsMessage.FromString(data)
        if message.type == dispatcher_pb2.AssignmentsMessage.COMPLETE:
            named = {change.assignment.task.id for change in message.changes}
            for task_id in [task_id for task_id in self._tasks if task_id not in named]:
                self._remove(task_id)
            self._counts.ready += not self._ready
            self._ready = True
            self._unsent.update({task_id: task.state for task_id, task in self._tasks.items()})
        for change in message.changes:
            if change.assignment.WhichOneof("item") != "task":
                continue
            task = change.assignment.task
            if change.action == dispatcher_pb2.AssignmentChange.REMOVE:
                self._remove(task.id)
            else:
                self._update(task)
        self._report()

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
            self._report()

    def _reach(self, task_id: str, task: Task, state: int) -> None:
        if task.state < state:
            task.state = self._unsent[task_id] = state

    def _remove(self, task_id: str) -> None:
        task = self._tasks.pop(task_id, None)
        self._unsent.pop(task_id, None)
        if task is not None:
            self._counts.tasks -= 1
            self._counts.running[task.image] -= task.confirmed == RUNNING

    def _report(self) -> None:
        """Send the next state, unless one is on its way."""
        if self._sending or not self._unsent or self._connection is None or not self._session_id:
            return
        task_id, state = next(iter(self._unsent.items()))
        del self._unsent[task_id]
        task = self._tasks[task_id]
        self._sending = True

        def answered(_: bytes, error: str) -> None:
            self._sending = False
            if error:
                self._unsent.setdefault(task_id, state)
                self._end(error)
                return
            if task_id in self._tasks:
                self._counts.running[task.image] += (state == RUNNING) - (task.confirmed == RUNNING)
                task.confirmed = state
            self._report()

        self._counts.calls += 1
        update = dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id=task_id, status=_status(task, state))
        request = dispatcher_pb2.UpdateTaskStatusRequest(session_id=self._session_id, updates=[update])
        self._connection.call(f"{SERVICE}Dispatcher/UpdateTaskStatus", request.SerializeToString(), answered)


def _status(task: Task, state: int) -> types_pb2.TaskStatus:
    status = types_pb2.TaskStatus(state=state, message=SAID[state])
    status.timestamp.FromNanoseconds(time.time_ns())
    if state >= READY:
        pid = 4711 if state == RUNNING else 0
        status.container.CopyFrom(types_pb2.ContainerStatus(container_id=task.container_id, pid=pid))
        status.port_status.SetInParent()
    return status


def _context(root: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root.decode())
    context.set_alpn_protocols(["h2"])
    return context


def _load(context: ssl.SSLContext, chain: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    """Load a chain and its key, from memory: what ssl reads is a file."""
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        Path(f"/proc/self/fd/{descriptor}").write_bytes(chain + plain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _base36(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits.rjust(width, "0")


async def main() -> None:
    """Run agents until standard input is closed."""
    addr, token, count, first = sys.argv[1:]
    host, _, port = addr.rpartition(":")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    counts = Counts()
    agents = [Agent(int(first) + number, host, int(port), token, counts) for number in range(int(count))]
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
