"""Liveness: who is heard. Three missed heartbeats make a node down (SwarmKit's rule), said as one command for all.

After a start of an engine, every node that is not down is unknown until it is heard. A node whose agent took leave is
disconnected. Both keep their tasks, get no new ones, and are down when the same time has passed in silence.

Deadlines are in the loop's own time and begin anew with every start of an engine, so that the time in which no engine
ran counts against nobody; neither does the time in which the loop itself stood still.
"""

from collections.abc import Mapping

import anyio

from skep.core.commands import ObserveNodes
from skep.core.events import ROWS_MAX
from skep.core.record import Actor
from skep.model.ids import NodeId
from skep.model.states import NodeState
from skep.runtime.errors import EngineError
from skep.runtime.session import Session
from skep.runtime.writer import Writer

MISSED_MAX = 3

#: An agent that lost its manager tries again after eight seconds at the latest (SwarmKit), and needs its way besides.
RETURNS_S = 10.0

#: Silence is looked for this often at least; a new session may shorten the period meanwhile.
LOOK_S_MAX = 1.0

#: A loop that comes back so late stood still.
OVERSLEPT_S = 1.0

CLOCK = Actor("clock", "liveness")

#: What a node is told to be in (recorded in scenarios 05, 51 and 53; the last one is from SwarmKit).
DOUBTED = 'Node moved to "unknown" state due to leadership change in cluster'
SILENT = "heartbeat failure"
NEVER_HEARD = 'heartbeat failure for node in "unknown" state'


class Liveness:
    """When each node was last heard. `sessions` are those that live."""

    def __init__(self, writer: Writer, sessions: Mapping[NodeId, Session]) -> None:
        self._writer = writer
        self._sessions = sessions
        self._graces: dict[NodeId, float] = {}
        self._deadlines: dict[NodeId, float] = {}

    def heard(self, node_id: NodeId, period_s: float) -> None:
        """Note that a node is there, and must be heard again in three periods."""
        self._expect(node_id, MISSED_MAX * period_s)

    def _expect(self, node_id: NodeId, grace_s: float) -> None:
        self._graces[node_id] = grace_s
        self._deadlines[node_id] = anyio.current_time() + grace_s

    def forget(self, node_id: NodeId) -> None:
        """Expect nothing more of a node: it is no member any more."""
        self._graces.pop(node_id, None)
        self._deadlines.pop(node_id, None)

    async def doubt_all(self, but: NodeId | None = None) -> None:
        """Say of every node that is not down that it is unknown whether it is there: an engine starts."""
        nodes = self._writer.state.nodes.values()
        doubted = [node.id for node in nodes if node.status.state is not NodeState.DOWN and node.id != but]
        for first in range(0, len(doubted), ROWS_MAX):
            rows = tuple(doubted[first : first + ROWS_MAX])
            await self._writer.submit(ObserveNodes(rows, NodeState.UNKNOWN, DOUBTED), actor=CLOCK)

    def expect_all(self, period_s: float) -> None:
        """Give every node that is not down a full grace period, and time enough to come back."""
        for node in self._writer.state.nodes.values():
            if node.status.state is not NodeState.DOWN and node.id not in self._deadlines:
                self._expect(node.id, max(MISSED_MAX * period_s, RETURNS_S))

    async def run(self) -> None:
        """Say which nodes fell silent, until cancelled."""
        while True:
            wakes_at = anyio.current_time() + LOOK_S_MAX
            await anyio.sleep(LOOK_S_MAX)
            now = anyio.current_time()
            if now - wakes_at > OVERSLEPT_S:
                # the process was stopped, or its loop was held: nobody could be heard
                for node_id in self._deadlines:
                    self._deadlines[node_id] = now + self._graces[node_id]
                continue
            silent = tuple(node_id for node_id, deadline in self._deadlines.items() if deadline <= now)
            if silent:
                await self._say(silent, now)

    async def _say(self, silent: tuple[NodeId, ...], now: float) -> None:
        sessions = [self._sessions[node_id] for node_id in silent if node_id in self._sessions]
        for node_id in silent:
            del self._deadlines[node_id]
        nodes = self._writer.state.nodes
        unknown = tuple(i for i in silent if i in nodes and nodes[i].status.state is NodeState.UNKNOWN)
        known = tuple(i for i in silent if i not in unknown)
        try:
            for rows, message in ((known, SILENT), (unknown, NEVER_HEARD)):
                if rows:
                    await self._writer.submit(ObserveNodes(rows, NodeState.DOWN, message), actor=CLOCK)
        except EngineError:
            # the log cannot be written now: they are still silent, say so again
            for node_id in silent:
                if node_id in self._graces:  # else it was removed meanwhile
                    self._deadlines.setdefault(node_id, now)
            return
        # an agent that lives after all registers again, which says that its node is there
        for session in sessions:
            session.end("heartbeat failure")
