"""The log broker: asks agents for the lines of tasks, and puts together what they answer. Never through the log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from skep.core.state import ClusterState
from skep.lines.collector import LineCollector
from skep.model.ids import NodeId
from skep.ports.clock import Ids
from skep.ports.link import LineOptions, LineSelector, PublishedLine, SubscriptionMessage
from skep.runtime.session import Session
from skep.runtime.writer import Writer

#: A node that says nothing for so long is named at the end, and not waited for.
NODE_DEADLINE_S = 5.0


class Broker:
    """Live subscriptions, by id."""

    def __init__(self, writer: Writer, sessions: dict[NodeId, Session], *, ids: Ids) -> None:
        self._writer = writer
        self._sessions = sessions
        self._ids = ids
        self._live: dict[str, tuple[SubscriptionMessage, LineCollector]] = {}

    async def lines(self, selector: LineSelector, options: LineOptions) -> AsyncIterator[PublishedLine]:
        """Yield lines of the selected tasks: the past in order of time, then, when following, what comes.

        A node that does not answer in time is named by a line of its own at the end.
        """
        nodes = await self._writer.read(lambda state: _nodes_of(state, selector))
        collector = LineCollector(options, nodes, deadline_s=NODE_DEADLINE_S)
        message = SubscriptionMessage(self._ids.new(), selector, options)
        self._live[message.id] = (message, collector)
        try:
            # whoever follows hears of nodes that get a task of the service later
            for session in list(self._sessions.values()):
                if options.follow or session.node_id in nodes:
                    session.subscribe(message)
            async with aclosing(collector.stream()) as lines:
                async for line in lines:
                    yield line
        finally:
            del self._live[message.id]
            closing = SubscriptionMessage(message.id, selector, options, close=True)
            for session in self._sessions.values():
                session.subscribe(closing)

    def resend(self, session: Session) -> None:
        """Hand a new session what is subscribed to."""
        for message, _ in self._live.values():
            session.subscribe(message)

    def options_of(self, subscription_id: str) -> LineOptions | None:
        """Return what a subscription asks for; None if it ended."""
        live = self._live.get(subscription_id)
        return live[0].options if live is not None else None

    async def publish(
        self, subscription_id: str, node_id: NodeId, lines: Sequence[PublishedLine], *, close: bool
    ) -> bool:
        """Take lines from a node; return False if nobody wants them any more."""
        live = self._live.get(subscription_id)
        if live is None:
            return False
        return await live[1].publish(node_id, lines, close=close)


def _nodes_of(state: ClusterState, selector: LineSelector) -> list[NodeId]:
    """Return the nodes that have tasks of the selection, each once."""
    nodes: dict[NodeId, None] = {}
    for task_id in selector.task_ids:
        task = state.tasks.get(task_id)
        if task is not None and task.node_id:
            nodes[task.node_id] = None
    for service_id in selector.service_ids:
        for task in state.tasks_of(service_id):
            if task.node_id:
                nodes[task.node_id] = None
    return list(nodes)
