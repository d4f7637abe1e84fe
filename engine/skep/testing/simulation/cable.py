"""The cable between a node and the manager: it can be cut, and it delays, repeats, reorders and swallows reports.

It leads to whichever engine runs. An engine that crashed answers nothing, even where it still winds down.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Literal, Protocol

import anyio

from skep.model.ids import NodeId
from skep.ports.link import (
    AssignmentsMessage,
    LinkError,
    PublishedLine,
    SessionMessage,
    SessionRequest,
    SubscriptionMessage,
    TaskReport,
)
from skep.runtime.dispatcher import LocalLink
from skep.runtime.engine import Engine
from skep.testing.virtual import VirtualClock

#: What may befall the next report: it comes late, it comes again later, or its answer is lost.
Mishap = Literal["delayed", "repeated", "unanswered"]


class Surroundings(Protocol):
    """What a cable needs of the world."""

    engine: Engine | None
    clock: VirtualClock

    def note(self, mark: str) -> None:
        """Note that a mark was reached."""

    def draw(self, count: int) -> bytes:
        """Draw bytes of which keys are made."""

    def draw_s(self, least: float, most: float) -> float:
        """Draw a number of seconds."""

    def later(self, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
        """Have something done after some time."""


class Cable:
    """Implements `Link` for the agent of one node."""

    def __init__(self, world: Surroundings, node_id: NodeId) -> None:
        self._world = world
        self._node_id = node_id
        self._sent = 0
        self.cut = False
        self.mishaps: deque[Mishap] = deque()

    def sever(self, why: str) -> None:
        """End the node's session, if it has one."""
        engine = self._world.engine
        session = engine.dispatcher.sessions.get(self._node_id) if engine else None
        if session is not None:
            session.end(why)

    def _reach(self) -> tuple[Engine, LocalLink]:
        engine = self._world.engine
        if engine is None or self.cut:
            raise LinkError(f"{self._node_id} cannot reach the manager")
        return engine, engine.dispatcher.link(self._node_id)

    def _hear(self, engine: Engine) -> None:
        if self._world.engine is not engine or self.cut:
            raise LinkError(f"{self._node_id} lost the manager")

    @asynccontextmanager
    async def session(self, request: SessionRequest) -> AsyncIterator[AsyncIterator[SessionMessage]]:
        """Register with the engine that runs."""
        engine, link = self._reach()
        async with link.session(request) as messages:
            self._hear(engine)
            yield messages

    async def heartbeat(self, session_id: str) -> float:
        """Tell that the agent lives."""
        engine, link = self._reach()
        period_s = await link.heartbeat(session_id)
        self._hear(engine)
        return period_s

    async def assignments(self, session_id: str) -> AsyncIterator[AssignmentsMessage]:
        """Yield what comes through."""
        engine, link = self._reach()
        messages = link.assignments(session_id)
        async with aclosing(messages):  # type: ignore[type-var]  # it is an async generator, which the port does not say
            async for message in messages:
                self._hear(engine)
                yield message

    async def update_task_status(self, session_id: str, reports: Sequence[TaskReport]) -> None:
        """Report, with mishaps."""
        mishap = self.mishaps.popleft() if self.mishaps else ""
        if mishap == "delayed":
            await anyio.sleep(self._world.draw_s(0.5, 8))
        engine, link = self._reach()
        await link.update_task_status(session_id, reports)
        self._sent += 1
        self._hear(engine)
        if mishap == "delayed":
            self._world.note("report-delayed")
        elif mishap == "repeated":
            self._world.later(self._world.draw_s(0, 5), lambda: self._repeat(engine, session_id, reports))
        elif mishap == "unanswered":
            self._world.note("report-unanswered")
            raise LinkError("the answer was lost")

    async def _repeat(self, engine: Engine, session_id: str, reports: Sequence[TaskReport]) -> None:
        sent = self._sent
        if self._world.engine is not engine or self.cut:
            return
        try:
            await engine.dispatcher.link(self._node_id).update_task_status(session_id, reports)
        except LinkError:
            return
        self._world.note("report-repeated")
        if self._sent > sent:
            self._world.note("report-reordered")

    def subscriptions(self, session_id: str) -> AsyncIterator[SubscriptionMessage]:
        """Return what comes through."""
        return self._reach()[1].subscriptions(session_id)

    async def publish_lines(self, subscription_id: str, lines: Sequence[PublishedLine], *, close: bool) -> bool:
        """Hand lines over."""
        return await self._reach()[1].publish_lines(subscription_id, lines, close=close)
