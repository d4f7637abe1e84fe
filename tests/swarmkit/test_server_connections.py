"""Connections: how many there are, what one that is not read holds up, and when they end."""

import asyncio
import contextlib
import socket
import time
from functools import partial

import pytest
from grpclib import GRPCError, Status
from skep.model.ids import TaskId
from skep.ports.link import LineOptions, LineSelector
from skep_adapters.swarmkit.parse_status import PORTS_MAX
from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2, logbroker_pb2, types_pb2
from skep_adapters.swarmkit.wire.ca_grpc import CAStub
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub
from skep_adapters.swarmkit.wire.logbroker_grpc import LogBrokerStub

from tests.swarmkit.test_server_callers import begun
from tests.swarmkit.worker import listening


def is_sent_away(connection: socket.socket) -> bool:
    """Whether the other side closed it, within a second."""
    connection.settimeout(1)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_there_are_only_so_many_connections_and_those_that_ended_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skep_adapters.swarmkit.server.CONNECTIONS_MAX", 3)
    async with listening() as port:
        connect = partial(socket.create_connection, ("127.0.0.1", port.number))
        first = [connect() for _ in range(3)]
        with connect() as late:
            assert await asyncio.to_thread(is_sent_away, late)
        assert not await asyncio.to_thread(is_sent_away, first[0])
        for connection in first:
            connection.close()
        await asyncio.sleep(0.1)
        answer = await CAStub(await port.anybody()).GetRootCACertificate(
            ca_pb2.GetRootCACertificateRequest(), timeout=5
        )
        assert answer.certificate


async def test_who_has_no_certificate_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep_adapters.swarmkit.gathering.STRANGER_S", 0.3)
    async with listening() as port:
        _, worker = await port.member()
        stranger = await port.trusting()
        stays = []
        for context in (worker, stranger):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port.number, ssl=context, server_hostname="swarm-manager"
            )
            await reader.read(1)  # its handshake is over
            await asyncio.sleep(0.5)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await reader.read()
            stays.append(not reader.at_eof())
            writer.close()
        assert stays == [True, False]


async def test_lines_that_nobody_reads_do_not_hold_up_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.lines.collector.NODE_LINES_MIN", 1)
    monkeypatch.setattr("skep.lines.collector.LINES_HELD_MAX", 1)
    async with listening() as port:
        node_id, worker = await port.joined()
        session_id = await begun(worker)
        lines = port.cluster.lines(LineSelector(task_ids=(TaskId("t"),)), LineOptions(follow=True))
        first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0.1)
        (subscription_id,) = port.cluster.engine.dispatcher.broker._live
        line = logbroker_pb2.LogMessage(
            context=logbroker_pb2.LogContext(task_id="t", node_id=node_id), data=bytes(8000)
        )
        line.stream = logbroker_pb2.LOG_STREAM_STDOUT
        said = logbroker_pb2.PublishLogsMessage(subscription_id=subscription_id, messages=[line])

        async def publish() -> None:
            async with LogBrokerStub(worker).PublishLogs.open() as stream:
                while True:
                    await stream.send_message(said)

        publishing = asyncio.create_task(publish())
        assert (await first).line.data  # and then no more is read
        await asyncio.sleep(0.5)
        assert not publishing.done()
        beat = dispatcher_pb2.HeartbeatRequest(session_id=session_id)
        assert (await DispatcherStub(worker).Heartbeat(beat, timeout=3)).HasField("period")
        publishing.cancel()
        await asyncio.wait([publishing])
        await lines.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_report_of_very_much_does_not_hold_up_the_others() -> None:
    ports = types_pb2.PortStatus(ports=[types_pb2.PortConfig()] * PORTS_MAX)
    status = types_pb2.TaskStatus(state="RUNNING", port_status=ports)
    update = dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id="t", status=status)
    async with listening() as port:
        _, worker = await port.joined()
        report = dispatcher_pb2.UpdateTaskStatusRequest(session_id=await begun(worker), updates=[update] * 30)
        longest_s = 0.0

        async def watch() -> None:
            nonlocal longest_s
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.001)
                longest_s = max(longest_s, time.monotonic() - began)

        watching = asyncio.create_task(watch())
        began = time.monotonic()
        await DispatcherStub(worker).UpdateTaskStatus(report, timeout=60)
        watching.cancel()
        assert longest_s < (time.monotonic() - began) / 3


async def test_when_a_swarm_is_left_nothing_of_it_is_answered_any_more_and_another_may_begin() -> None:
    async with listening() as port:
        _, worker = await port.joined()
        stranger = CAStub(await port.anybody())
        await begun(worker)
        root = (await stranger.GetRootCACertificate(ca_pb2.GetRootCACertificateRequest(), timeout=5)).certificate
        began = time.monotonic()
        await port.cluster.swarm.leave(force=True)
        assert time.monotonic() - began < 2
        with pytest.raises((GRPCError, ConnectionError)) as caught:
            await stranger.GetRootCACertificate(ca_pb2.GetRootCACertificateRequest(), timeout=2)
        assert not isinstance(caught.value, GRPCError) or caught.value.status is not Status.DEADLINE_EXCEEDED
        await port.cluster.swarm.init(advertise_addr="127.0.0.1")
        again = await CAStub(await port.anybody()).GetRootCACertificate(ca_pb2.GetRootCACertificateRequest(), timeout=5)
        assert again.certificate != root
