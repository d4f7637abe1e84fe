"""The resource allocator, as workers call it: for containers that people run, on networks of the swarm."""

from typing import Any

import structlog
from grpclib import GRPCError, Status
from grpclib.server import Stream
from skep.core.rejected import Code, Rejected
from skep.model.ids import NodeId, TaskId
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError

from skep_adapters.swarmkit.caller import asked, node_of
from skep_adapters.swarmkit.unreadable import Unreadable, check_id
from skep_adapters.swarmkit.wire import resource_grpc, resource_pb2

_log = structlog.get_logger("skep.swarmkit")

_STATUS = {
    Code.INVALID_ARGUMENT: Status.INVALID_ARGUMENT,
    Code.NOT_FOUND: Status.NOT_FOUND,
    Code.PERMISSION_DENIED: Status.PERMISSION_DENIED,
    Code.FAILED_PRECONDITION: Status.FAILED_PRECONDITION,
    Code.RESOURCE_EXHAUSTED: Status.RESOURCE_EXHAUSTED,
}

#: An engine asks for one of each family at most.
ADDRESSES_MAX = 2


class ResourceAllocator(resource_grpc.ResourceAllocatorBase):
    """Answers workers; each may only ask for containers of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def AttachNetwork(  # noqa: N802 - the protocol's name
        self, stream: Stream[resource_pb2.AttachNetworkRequest, resource_pb2.AttachNetworkResponse]
    ) -> None:
        """Answer the id of a task, which is assigned to the caller with an address on the network.

        Engines also ask for names that they do not know; the answer NOT_FOUND is their user's.
        """
        node_id = self._node(stream)
        request: resource_pb2.AttachNetworkRequest = await asked(stream)
        try:
            attachment_id = await self._engine.attaching.attach(node_id, *_parse(request))
        except (Rejected, EngineError, Unreadable) as error:
            raise _refusal(node_id, error) from None
        await stream.send_message(resource_pb2.AttachNetworkResponse(attachment_id=attachment_id))

    async def DetachNetwork(  # noqa: N802 - the protocol's name
        self, stream: Stream[resource_pb2.DetachNetworkRequest, resource_pb2.DetachNetworkResponse]
    ) -> None:
        """Free what a container had: it is off the network by now."""
        node_id = self._node(stream)
        request: resource_pb2.DetachNetworkRequest = await asked(stream)
        try:
            attachment_id = TaskId(_said(request.attachment_id, "attachment_id"))
            await self._engine.attaching.detach(node_id, attachment_id)
        except (Rejected, EngineError, Unreadable) as error:
            raise _refusal(node_id, error) from None
        await stream.send_message(resource_pb2.DetachNetworkResponse())

    def _node(self, stream: Stream[Any, Any]) -> NodeId:
        cluster = self._engine.writer.state.cluster
        if cluster is None:
            raise GRPCError(Status.UNAVAILABLE, "there is no swarm")
        return node_of(stream, cluster.id)


def _parse(request: resource_pb2.AttachNetworkRequest) -> tuple[str, str, tuple[str, ...]]:
    """Return which network, which container, and which addresses; raise `Unreadable` if one is out of bounds."""
    config = request.config
    if len(config.addresses) > ADDRESSES_MAX:
        raise Unreadable(f"config.addresses has {len(config.addresses)} entries")
    addresses = tuple(check_id(one, "config.addresses") for one in config.addresses)
    return _said(config.target, "config.target"), _said(request.container_id, "container_id"), addresses


def _said(text: str, field: str) -> str:
    if not text:
        raise Unreadable(f"{field} is missing")
    return check_id(text, field)


def _refusal(node_id: NodeId, error: Exception) -> GRPCError:
    """Return what a worker is answered: its user reads it, if it was a request to attach."""
    match error:
        case Rejected():
            _log.info("swarmkit.attachment_refused", node_id=node_id, reason=str(error))
            return GRPCError(_STATUS.get(error.code, Status.UNKNOWN), str(error))
        case Unreadable():
            _log.warning("swarmkit.unreadable", node_id=node_id, reason=str(error))
            return GRPCError(Status.INVALID_ARGUMENT, str(error))
    return GRPCError(Status.UNAVAILABLE, str(error))
