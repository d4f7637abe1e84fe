"""The other side of the link as a test scripts it, and the objects that it sends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import structs
from skep.model.container import ContainerSpec
from skep.model.ids import EPOCH, START, NodeId, Position, ServiceId, TaskId
from skep.model.node import Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.service import TaskSpec, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedSecret,
    AssignedTask,
    AssignmentChange,
    AssignmentKind,
    AssignmentsMessage,
    ForeignTask,
    LineOptions,
    LineSelector,
    LinkError,
    NoMember,
    PublishedLine,
    SessionMessage,
    SessionRequest,
    SubscriptionMessage,
    TaskReport,
)

NODE = NodeId("node-1")
Message = TypeVar("Message")
Assignment = AssignedTask | AssignedSecret | AssignedConfig


def task(
    name: str = "t1",
    *,
    image: str = "web",
    service: str = "web",
    desired: TaskState = TaskState.RUNNING,
    stored: TaskState = TaskState.ASSIGNED,
    grace_s: float | None = None,
    slot: int = 1,
    labels: dict[str, str] | None = None,
    **container: Any,
) -> AssignedTask:
    grace = None if grace_s is None else int(grace_s * 1e9)
    return AssignedTask(
        id=TaskId(name),
        service_id=ServiceId(service),
        service_name=service,
        slot=slot,
        node_id=NODE,
        node_hostname="host",
        service_labels=labels or {},
        spec_version=Position(1),
        template=TaskTemplate(
            service, TaskSpec(container_spec=ContainerSpec(image=image, stop_grace_period=grace, **container))
        ),
        desired=desired,
        status=TaskStatus(stored, EPOCH),
    )


def wanting(assigned: AssignedTask, desired: TaskState) -> AssignedTask:
    return structs.replace(assigned, desired=desired)


class _Over:
    """What ends a stream."""


class _Session:
    def __init__(self, id_: str) -> None:
        self.id = id_
        self.messages: asyncio.Queue[SessionMessage | _Over] = asyncio.Queue()
        self.assignments: asyncio.Queue[AssignmentsMessage | _Over] = asyncio.Queue()
        self.subscriptions: asyncio.Queue[SubscriptionMessage | _Over] = asyncio.Queue()
        self.sent = 0


class ScriptedLink:
    """Implements `Link`. Nothing is assigned before `complete` was called; every new session then begins with that."""

    def __init__(self) -> None:
        self.requests: list[SessionRequest] = []
        self.batches: list[tuple[TaskReport, ...]] = []
        self.published: list[tuple[str, tuple[PublishedLine, ...], bool]] = []
        self.heartbeats = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self.wanted = True
        self.refuse = False
        self.removed = False
        self.silent = False
        self.stuck = ""
        #: the task that is another node's by now
        self.foreign = ""
        self.report_s = 0.0
        self.publish_s = 0.0
        self.assigned: tuple[Assignment, ...] | None = None
        self.subscribed: dict[str, SubscriptionMessage] = {}
        self.current: _Session | None = None

    def states(self, name: str = "t1") -> list[TaskState]:
        return [status.state for status in self.statuses(name)]

    def statuses(self, name: str = "t1") -> list[TaskStatus]:
        return [report.status for batch in self.batches for report in batch if report.task_id == name]

    def text(self, id_: str = "s1") -> list[str]:
        return [line.line.data.decode().strip() for sub, lines, _ in self.published if sub == id_ for line in lines]

    def closed(self, id_: str = "s1") -> bool:
        return any(sub == id_ and close for sub, _, close in self.published)

    def complete(self, *assignments: Assignment) -> None:
        self.assigned = assignments
        if self.current is not None:
            self._send(self.current, AssignmentKind.COMPLETE, [AssignmentChange(each) for each in assignments])

    def change(
        self, *assignments: Assignment, remove: Sequence[Assignment] = (), applies_to: str | None = None
    ) -> None:
        assert self.current is not None
        changes = [AssignmentChange(each) for each in assignments]
        changes += [AssignmentChange(each, Action.REMOVE) for each in remove]
        self._send(self.current, AssignmentKind.INCREMENTAL, changes, applies_to)

    def subscribe(self, id_: str = "s1", selector: LineSelector | None = None, **options: object) -> None:
        chosen = LineOptions(**options)  # type: ignore[arg-type]  # a test's keywords, checked by what it expects
        message = SubscriptionMessage(id_, selector or LineSelector(service_ids=(ServiceId("web"),)), chosen)
        self.subscribed[id_] = message
        if self.current is not None:
            self.current.subscriptions.put_nowait(message)

    def unsubscribe(self, id_: str = "s1") -> None:
        message = structs.replace(self.subscribed.pop(id_), close=True)
        if self.current is not None:
            self.current.subscriptions.put_nowait(message)

    def end_session(self) -> None:
        assert self.current is not None
        self.current.messages.put_nowait(_Over())

    def end_assignments(self) -> None:
        assert self.current is not None
        self.current.assignments.put_nowait(_Over())

    def tell_node(self, name: str) -> None:
        assert self.current is not None
        self.current.messages.put_nowait(SessionMessage(self.current.id, node(name)))

    async def until(self, condition: Callable[[], bool], *, within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - conditions are a test's own words, and nothing tells of them
                await asyncio.sleep(0.001)

    async def until_requests(self, count: int) -> None:
        await self.until(lambda: len(self.requests) == count)

    async def until_state(self, state: TaskState, name: str = "t1", *, within_s: float = 60) -> TaskStatus:
        await self.until(lambda: state in self.states(name), within_s=within_s)
        return next(status for status in self.statuses(name) if status.state is state)

    # the port

    @contextlib.asynccontextmanager
    async def session(self, request: SessionRequest) -> AsyncIterator[AsyncIterator[SessionMessage]]:
        self.requests.append(request)
        if self.removed:
            raise NoMember("no member")
        if self.refuse:
            raise LinkError("refused")
        session = self.current = _Session(f"session-{len(self.requests)}")
        if not self.silent:
            session.messages.put_nowait(SessionMessage(session.id, node()))
        if self.assigned is not None:
            self._send(session, AssignmentKind.COMPLETE, [AssignmentChange(each) for each in self.assigned])
        for message in self.subscribed.values():
            session.subscriptions.put_nowait(message)
        try:
            yield _stream(session.messages)
        finally:
            if self.current is session:
                self.current = None

    async def heartbeat(self, session_id: str) -> float:
        self._session(session_id)
        self.heartbeats += 1
        return 5.0

    def assignments(self, session_id: str) -> AsyncIterator[AssignmentsMessage]:
        return _stream(self._session(session_id).assignments)

    async def update_task_status(self, session_id: str, reports: Sequence[TaskReport]) -> None:
        self._session(session_id)
        if any(report.task_id == self.foreign for report in reports):
            raise ForeignTask(self.foreign)
        with self._flight():
            self.batches.append(tuple(reports))
            await asyncio.sleep(self.report_s)

    def subscriptions(self, session_id: str) -> AsyncIterator[SubscriptionMessage]:
        return _stream(self._session(session_id).subscriptions)

    async def publish_lines(self, subscription_id: str, lines: Sequence[PublishedLine], *, close: bool) -> bool:
        if self.current is None:
            raise LinkError("no session")
        await asyncio.sleep(3600 if subscription_id == self.stuck else self.publish_s)
        if self.wanted:
            self.published.append((subscription_id, tuple(lines), close))
        return self.wanted

    @contextlib.contextmanager
    def _flight(self) -> Iterator[None]:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            yield
        finally:
            self.in_flight -= 1

    def _session(self, id_: str) -> _Session:
        if self.current is None or self.current.id != id_:
            raise LinkError("session invalid")
        return self.current

    def _send(
        self, to: _Session, kind: AssignmentKind, changes: Sequence[AssignmentChange], applies_to: str | None = None
    ) -> None:
        last = "" if kind is AssignmentKind.COMPLETE else str(to.sent)
        to.sent += 1
        message = AssignmentsMessage(kind, last if applies_to is None else applies_to, str(to.sent), tuple(changes))
        to.assignments.put_nowait(message)


def node(name: str = "") -> Node:
    return Node(
        id=NODE,
        spec=NodeSpec(name=name),
        description=NodeDescription(hostname="host"),
        status=NodeStatus(),
        version=START,
        written=START,
        created_at=EPOCH,
        updated_at=EPOCH,
    )


async def _stream(queue: asyncio.Queue[Message | _Over]) -> AsyncIterator[Message]:
    while True:
        item = await queue.get()
        if isinstance(item, _Over):
            return
        yield item
