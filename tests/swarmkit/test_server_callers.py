"""A worker can do only what its own certificate allows, and nothing when it is no member any more."""

import asyncio

import pytest
import skep
from grpclib import GRPCError, Status
from grpclib.client import Channel
from skep.model.ids import NodeId, TaskId
from skep.ports.link import LineOptions, LineSelector
from skep_adapters.swarmkit.wire import dispatcher_pb2, logbroker_pb2, types_pb2
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub
from skep_adapters.swarmkit.wire.logbroker_grpc import LogBrokerStub

from tests.swarmkit.worker import Port, listening


async def refused(call: object) -> Status:
    with pytest.raises(GRPCError) as caught:
        await call  # type: ignore[misc]  # a coroutine
    return caught.value.status


async def begun(channel: Channel) -> str:
    """Begin a session that lives until the connection is closed; return its id."""
    stream = DispatcherStub(channel).Session.open(timeout=20)
    await stream.__aenter__()
    description = types_pb2.NodeDescription(hostname="worker")
    await stream.send_message(dispatcher_pb2.SessionRequest(description=description), end=True)
    message = await stream.recv_message()
    assert message is not None
    return message.session_id


async def publish(channel: Channel, subscription_id: str, node_id: NodeId, task_id: TaskId) -> None:
    context = logbroker_pb2.LogContext(task_id=task_id, node_id=node_id)
    line = logbroker_pb2.LogMessage(context=context, data=b"mine", stream=logbroker_pb2.LOG_STREAM_STDOUT)
    said = logbroker_pb2.PublishLogsMessage(subscription_id=subscription_id, messages=[line])
    await LogBrokerStub(channel).PublishLogs([said], timeout=5)


async def subscribed(port: Port, task_id: TaskId) -> tuple[str, asyncio.Task[bytes]]:
    """Follow a task; return the subscription's id, and what waits for its first line."""
    lines = port.cluster.lines(LineSelector(task_ids=(task_id,)), LineOptions(follow=True))

    async def first() -> bytes:
        return (await anext(aiter(lines))).line.data

    waiting = asyncio.create_task(first())
    broker = port.cluster.engine.dispatcher.broker
    while not broker._live:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    return next(iter(broker._live)), waiting


async def test_the_session_of_another_node_is_nobodys_to_use() -> None:
    async with listening() as port:
        (_, mine), (_, others) = await port.joined(), await port.joined()
        session_id = await begun(mine)
        beat = dispatcher_pb2.HeartbeatRequest(session_id=session_id)
        assert (await DispatcherStub(mine).Heartbeat(beat, timeout=5)).HasField("period")
        assert await refused(DispatcherStub(others).Heartbeat(beat, timeout=5)) is Status.ABORTED
        report = dispatcher_pb2.UpdateTaskStatusRequest(session_id=session_id)
        assert await refused(DispatcherStub(others).UpdateTaskStatus(report, timeout=5)) is Status.ABORTED


async def test_what_is_no_sessions_id_is_neither_told_nor_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with listening() as port:
        _, worker = await port.joined()
        dispatcher, made_up = DispatcherStub(worker), "x" * 20_000
        capsys.readouterr()
        for call in (
            dispatcher.Heartbeat(dispatcher_pb2.HeartbeatRequest(session_id=made_up), timeout=5),
            dispatcher.UpdateTaskStatus(dispatcher_pb2.UpdateTaskStatusRequest(session_id=made_up), timeout=5),
            dispatcher.Assignments(dispatcher_pb2.AssignmentsRequest(session_id=made_up), timeout=5),
        ):
            assert await refused(call) is Status.INVALID_ARGUMENT
        assert made_up[:200] not in capsys.readouterr().out


async def test_lines_of_another_nodes_task_are_refused() -> None:
    async with listening() as port:
        node_id, worker = await port.joined()
        service = await port.cluster.services.create(skep.service_spec("web", "demo"))
        await port.cluster.converged("web")
        task = next(t for t in port.cluster.engine.writer.state.tasks.values() if t.service_id == service)
        assert task.node_id != node_id
        subscription_id, waiting = await subscribed(port, task.id)
        assert await refused(publish(worker, subscription_id, node_id, task.id)) is Status.PERMISSION_DENIED
        assert await refused(publish(worker, subscription_id, task.node_id, task.id)) is Status.PERMISSION_DENIED
        waiting.cancel()


async def test_a_node_that_was_removed_publishes_nothing_on_what_it_has_open() -> None:
    async with listening() as port:
        node_id, worker = await port.joined()
        subscription_id, waiting = await subscribed(port, TaskId("gone"))
        await port.cluster.nodes.remove(node_id, force=True)
        assert await refused(publish(worker, subscription_id, node_id, TaskId("gone"))) is Status.PERMISSION_DENIED
        waiting.cancel()


async def test_what_was_subscribed_to_before_a_worker_listened_is_told_it_once() -> None:
    async with listening() as port:
        _, worker = await port.joined()
        await begun(worker)
        subscription_id, waiting = await subscribed(port, TaskId("gone"))
        async with LogBrokerStub(worker).ListenSubscriptions.open(timeout=1) as stream:
            await stream.send_message(logbroker_pb2.ListenSubscriptionsRequest(), end=True)
            told = await stream.recv_message()
            assert told is not None
            assert (told.id, told.close) == (subscription_id, False)
            waiting.cancel()
            told = await stream.recv_message()
            assert told is not None
            assert (told.id, told.close) == (subscription_id, True)
            await stream.cancel()
