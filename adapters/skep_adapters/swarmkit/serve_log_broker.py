"""The log broker, as workers call it: they hear what is subscribed to, and publish what their tasks printed."""

from typing import Any

import anyio
import structlog
from grpclib import GRPCError, Status
from grpclib.server import Stream
from skep.model.ids import NodeId
from skep.ports.link import LinkError
from skep.runtime.engine import Engine

from skep_adapters.swarmkit.caller import LARGE_BYTES_MAX, asked, node_of, received
from skep_adapters.swarmkit.parse_lines import parse_lines
from skep_adapters.swarmkit.render_selector import render_subscription
from skep_adapters.swarmkit.unreadable import Unreadable
from skep_adapters.swarmkit.wire import logbroker_grpc, logbroker_pb2

_log = structlog.get_logger("skep.swarmkit")

#: An agent asks for subscriptions when it asks for its session, and either may come first.
SESSION_WAIT_S = 5.0


class LogBroker(logbroker_grpc.LogBrokerBase):
    """Answers workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ListenSubscriptions(  # noqa: N802 - the protocol's name
        self, stream: Stream[logbroker_pb2.ListenSubscriptionsRequest, logbroker_pb2.SubscriptionMessage]
    ) -> None:
        """Send what is subscribed to, for as long as the worker's session lives."""
        node_id = self._node(stream)
        await asked(stream)
        try:
            session_id = await self._session(node_id)
            async for message in self._engine.dispatcher.link(node_id).subscriptions(session_id):
                await stream.send_message(render_subscription(message))
        except LinkError as error:
            raise GRPCError(Status.ABORTED, str(error)) from None

    async def PublishLogs(  # noqa: N802 - the protocol's name
        self, stream: Stream[logbroker_pb2.PublishLogsMessage, logbroker_pb2.PublishLogsResponse]
    ) -> None:
        """Take the lines of one subscription until the worker has no more, or nobody wants them."""
        node_id = self._node(stream)
        link, broker = self._engine.dispatcher.link(node_id), self._engine.dispatcher.broker
        while (message := await received(stream, LARGE_BYTES_MAX)) is not None:
            options = broker.options_of(message.subscription_id)
            if options is None:
                raise GRPCError(Status.NOT_FOUND, "nobody asks for these lines any more")
            try:
                lines = parse_lines(message.messages, options)
                await link.publish_lines(message.subscription_id, lines, close=message.close)
            except Unreadable as error:
                _log.warning("swarmkit.unreadable", node_id=node_id, reason=str(error))
                raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None
            except LinkError as error:
                _log.warning("swarmkit.foreign_lines", node_id=node_id, reason=str(error))
                raise GRPCError(Status.PERMISSION_DENIED, str(error)) from None
            if message.close:
                break
        await stream.send_message(logbroker_pb2.PublishLogsResponse())

    def _node(self, stream: Stream[Any, Any]) -> NodeId:
        cluster = self._engine.writer.state.cluster
        if cluster is None:
            raise GRPCError(Status.UNAVAILABLE, "there is no swarm")
        return node_of(stream, cluster.id)

    async def _session(self, node_id: NodeId) -> str:
        """Return the node's session, once there is one."""
        with anyio.move_on_after(SESSION_WAIT_S):
            return (await self._engine.dispatcher.expected(node_id)).id
        raise LinkError(f"node {node_id} has no session")
