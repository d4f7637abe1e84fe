"""The dispatcher, as workers call it: each call is one of the link that is bound to the caller's node."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import structlog
from google.protobuf.duration_pb2 import Duration
from grpclib import GRPCError, Status
from grpclib.server import Stream
from msgspec.structs import replace
from skep.model.ids import NodeId
from skep.ports.link import (
    AssignedTask,
    ForeignTask,
    Link,
    LinkError,
    Peer,
    SessionMessage,
    SessionRequest,
    TaskReport,
)
from skep.runtime.engine import Engine
from skep.runtime.swarm import join_addr, split_addr

from skep_adapters.swarmkit.caller import LARGE_BYTES_MAX, address_of, asked, node_of
from skep_adapters.swarmkit.parse_description import DESCRIPTION_BYTES_MAX, parse_description
from skep_adapters.swarmkit.parse_status import parse_report
from skep_adapters.swarmkit.remembered import Remembered
from skep_adapters.swarmkit.render_assignments import render_assignments
from skep_adapters.swarmkit.render_network import render_network
from skep_adapters.swarmkit.render_node import ISSUED, ROTATE, render_node
from skep_adapters.swarmkit.render_session import render_session
from skep_adapters.swarmkit.render_spec import render_spec
from skep_adapters.swarmkit.render_task import render_task
from skep_adapters.swarmkit.unreadable import Unreadable, check_id
from skep_adapters.swarmkit.wire import dispatcher_grpc, dispatcher_pb2, objects_pb2

_log = structlog.get_logger("skep.swarmkit")

#: Reports of one call: an agent sends what gathered since its last one.
REPORTS_MAX = 100_000

#: Reports, and ports in them, that are read before others have their turn: about 10 ms.
PARTS_MAX = 1000

#: A description, and its session's id.
SESSION_BYTES_MAX = DESCRIPTION_BYTES_MAX + 1024

#: Between messages of assignments, so that what changes one by one goes out together; SwarmKit waits before each.
GATHER_S = 0.1

NANOSECONDS = 1_000_000_000


class Dispatcher(dispatcher_grpc.DispatcherBase):
    """Answers workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._spec = Remembered(render_spec)
        self._network = Remembered(render_network)

    async def Session(  # noqa: N802 - the protocol's name
        self, stream: Stream[dispatcher_pb2.SessionRequest, dispatcher_pb2.SessionMessage]
    ) -> None:
        """Register, and send all that the worker must know whenever something of it changes."""
        link, node_id = self._link(stream)
        request: dispatcher_pb2.SessionRequest = await asked(stream, SESSION_BYTES_MAX)
        with _answered(node_id):
            description = parse_description(request.description)
            address = address_of(stream)
            own = node_id == self._engine.node_id
            registering = SessionRequest(description, "" if own else address, request.session_id)
            async with link.session(registering) as messages:
                async for message in messages:
                    await stream.send_message(self._session(message, address))

    async def Heartbeat(  # noqa: N802 - the protocol's name
        self, stream: Stream[dispatcher_pb2.HeartbeatRequest, dispatcher_pb2.HeartbeatResponse]
    ) -> None:
        """Note that the worker lives."""
        link, node_id = self._link(stream)
        request: dispatcher_pb2.HeartbeatRequest = await asked(stream)
        with _answered(node_id):
            period_s = await link.heartbeat(_session_id(request))
        period = Duration()
        period.FromNanoseconds(int(period_s * NANOSECONDS))
        await stream.send_message(dispatcher_pb2.HeartbeatResponse(period=period))

    async def UpdateTaskStatus(  # noqa: N802 - the protocol's name
        self, stream: Stream[dispatcher_pb2.UpdateTaskStatusRequest, dispatcher_pb2.UpdateTaskStatusResponse]
    ) -> None:
        """Take what the worker observed of its tasks; durable when it is answered."""
        link, node_id = self._link(stream)
        request: dispatcher_pb2.UpdateTaskStatusRequest = await asked(stream, LARGE_BYTES_MAX)
        if len(request.updates) > REPORTS_MAX:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"{len(request.updates)} reports; the most is {REPORTS_MAX}")
        with _answered(node_id):
            await link.update_task_status(_session_id(request), await _reports(node_id, request))
        await stream.send_message(dispatcher_pb2.UpdateTaskStatusResponse())

    async def Assignments(  # noqa: N802 - the protocol's name
        self, stream: Stream[dispatcher_pb2.AssignmentsRequest, dispatcher_pb2.AssignmentsMessage]
    ) -> None:
        """Send all that the node is assigned, then what changes of it."""
        link, node_id = self._link(stream)
        request: dispatcher_pb2.AssignmentsRequest = await asked(stream)
        with _answered(node_id):
            async for message in link.assignments(_session_id(request)):
                await stream.send_message(render_assignments(message, task=self._task))
                await anyio.sleep(GATHER_S)

    async def UpdateVolumeStatus(self, stream: Stream[Any, Any]) -> None:  # noqa: N802 - the protocol's
        """Refuse: there are no cluster volumes."""
        await _refuse("UpdateVolumeStatus", stream)

    async def Tasks(self, stream: Stream[Any, Any]) -> None:  # noqa: N802 - the protocol's
        """Refuse: it is what Assignments replaced."""
        await _refuse("Tasks", stream)

    def _link(self, stream: Stream[Any, Any]) -> tuple[Link, NodeId]:
        cluster = self._engine.writer.state.cluster
        if cluster is None:
            raise GRPCError(Status.UNAVAILABLE, "there is no swarm")
        node_id = node_of(stream, cluster.id)
        return self._engine.dispatcher.link(node_id), node_id

    def _session(self, message: SessionMessage, address: str) -> dispatcher_pb2.SessionMessage:
        if message.node.manager is not None:
            # it is on this machine, from which what others are told need not be reached
            port = split_addr(message.node.manager.listen_addr)[1]
            way = Peer(message.node.id, join_addr(address, port))
            message = replace(message, managers=(way,))
        cluster = self._engine.writer.state.cluster
        node = render_node(
            message.node,
            networks={network.id: self._network(network) for network in message.networks},
            certificate=ROTATE if message.renew else ISSUED,
            data_path_port=cluster.data_path_port if cluster is not None else 0,
        )
        return render_session(message, node=node)

    def _task(self, task: AssignedTask) -> objects_pb2.Task:
        return render_task(task, spec=self._spec(task.template), network=self._network, resources=task.resources)


@contextmanager
def _answered(node_id: NodeId) -> Iterator[None]:
    """Tell what went wrong so that an agent builds a new session, and does not end its tasks."""
    try:
        yield
    except ForeignTask as error:
        _log.warning("swarmkit.foreign_task", node_id=node_id, reason=str(error))
        raise GRPCError(Status.PERMISSION_DENIED, str(error)) from None
    except LinkError as error:
        _log.info("swarmkit.session_ended", node_id=node_id, reason=str(error))
        raise GRPCError(Status.ABORTED, str(error)) from None
    except Unreadable as error:
        _log.warning("swarmkit.unreadable", node_id=node_id, reason=str(error))
        raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None


def _session_id(
    request: dispatcher_pb2.HeartbeatRequest
    | dispatcher_pb2.UpdateTaskStatusRequest
    | dispatcher_pb2.AssignmentsRequest,
) -> str:
    """Return the session that a worker names: one that is not known is told, and logged."""
    return check_id(request.session_id, "session_id")


async def _reports(node_id: NodeId, request: dispatcher_pb2.UpdateTaskStatusRequest) -> list[TaskReport]:
    """Return the reports that can be read: for the sake of one that cannot, the others must not be lost."""
    reports = []
    parts = 0
    for update in request.updates:
        parts += 1 + len(update.status.port_status.ports)
        if parts > PARTS_MAX:
            parts = 0
            await anyio.lowlevel.checkpoint()
        try:
            reports.append(parse_report(update))
        except Unreadable as error:
            _log.warning("swarmkit.unreadable", node_id=node_id, reason=str(error))
    return reports


async def _refuse(method: str, stream: Stream[Any, Any]) -> None:
    await asked(stream)
    raise GRPCError(Status.UNIMPLEMENTED, f"{method} is not offered by this manager")
