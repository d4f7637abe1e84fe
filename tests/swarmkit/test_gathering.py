"""How the port writes: what belongs together is one TLS record, and what is large arrives whole."""

import asyncio
import os
import socket
import ssl
import struct

import h2.config
import h2.connection
import h2.events
import pytest
import skep
from msgspec.structs import replace
from skep.model.container import ConfigReference, FileTarget
from skep.model.secret import ConfigSpec
from skep_adapters.swarmkit.gathering import TLS_BUFFER_BYTES
from skep_adapters.swarmkit.server import STREAM_BYTES, WINDOWS
from skep_adapters.swarmkit.wire import dispatcher_pb2
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub

from tests.swarmkit.test_server_callers import begun
from tests.swarmkit.worker import listening

ROOT_CA = "/docker.swarmkit.v1.CA/GetRootCACertificate"


def events_by_record(context: ssl.SSLContext, port: int, path: str) -> list[list[h2.events.Event]]:
    """Make a call with an empty message; return what each TLS record of the answer brought."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    headers = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "swarm-manager"}
    connection.send_headers(1, [*headers.items(), ("content-type", "application/grpc"), ("te", "trailers")])
    connection.send_data(1, struct.pack(">?I", False, 0), end_stream=True)
    records = []
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="swarm-manager") as secured,
    ):
        secured.sendall(connection.data_to_send())
        while not records or not any(isinstance(each, h2.events.StreamEnded) for each in records[-1]):
            data = secured.recv(1 << 16)  # of OpenSSL: one record at a time
            assert data, "the connection was closed"
            records.append(connection.receive_data(data))
    return records


async def test_an_answer_is_one_record() -> None:
    async with listening() as port:
        records = await asyncio.to_thread(events_by_record, await port.trusting(), port.number, ROOT_CA)
        *before, last = ([type(each) for each in record] for record in records)
        assert {h2.events.ResponseReceived, h2.events.DataReceived, h2.events.TrailersReceived} <= {*last}
        assert not any(h2.events.ResponseReceived in record for record in before)


async def test_an_assignment_larger_than_every_buffer_arrives_whole() -> None:
    data = os.urandom(6 * TLS_BUFFER_BYTES)
    async with listening() as port:
        _, worker = await port.joined()
        session_id = await begun(worker)
        config_id = await port.cluster.configs.create(ConfigSpec(name="large", data=data))
        reference = ConfigReference(config_id=config_id, config_name="large", file=FileTarget(name="/large"))
        spec = skep.service_spec("web", "app", replicas=2)  # on each node one
        container = replace(spec.task_template.container_spec, configs=(reference,))
        await port.cluster.services.create(
            replace(spec, task_template=replace(spec.task_template, container_spec=container))
        )
        async with DispatcherStub(worker).Assignments.open(timeout=20) as stream:
            await stream.send_message(dispatcher_pb2.AssignmentsRequest(session_id=session_id), end=True)
            sent = []
            while not sent:
                message = await stream.recv_message()
                assert message is not None
                sent = [
                    each.assignment.config.spec.data for each in message.changes if each.assignment.HasField("config")
                ]
            await stream.cancel()
            assert sent == [data]


def room(context: ssl.SSLContext, port: int) -> int:
    """Return how much may be sent on a new connection before any of it is read."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    connection.ping(b"greeting")
    heard: list[h2.events.Event] = []
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="swarm-manager") as secured,
    ):
        secured.sendall(connection.data_to_send())
        while not any(isinstance(each, h2.events.PingAckReceived) for each in heard):
            heard += connection.receive_data(secured.recv(1 << 16))
    return connection.outbound_flow_control_window


async def test_a_stranger_makes_the_port_keep_less_than_a_member() -> None:
    async with listening() as port:
        _, worker = await port.member()
        assert await asyncio.to_thread(room, worker, port.number) == WINDOWS.http2_connection_window_size
        assert await asyncio.to_thread(room, await port.trusting(), port.number) == STREAM_BYTES


def ask_and_never_read(context: ssl.SSLContext, port: int) -> None:
    """Send pings until the connection is closed."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    greeting = connection.data_to_send()
    for _ in range(1000):
        connection.ping(b"answer!!")
    pings = connection.data_to_send()
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="swarm-manager") as secured:
            secured.sendall(greeting)
            while True:
                secured.sendall(pings)


async def test_who_asks_and_never_reads_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep_adapters.swarmkit.gathering.UNREAD_BYTES_MAX", TLS_BUFFER_BYTES)
    async with listening() as port:
        _, worker = await port.member()
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.to_thread(ask_and_never_read, worker, port.number)
