"""What a peer may make the port keep, and what it is answered where it breaks the protocol."""

import asyncio
import logging
import struct

import h2.connection
import h2.events
import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.const import Cardinality
from skep_adapters.swarmkit.caller import LARGE_BYTES_MAX, SMALL_BYTES_MAX

from tests.swarmkit.worker import listening

ISSUE = "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate"
STATUS = "/docker.swarmkit.v1.Dispatcher/UpdateTaskStatus"


async def told(channel: Channel, path: str, body: bytes, *, end: bool = True) -> Status:
    """Send a body as it is; return the status of the answer."""
    try:
        async with channel.request(path, Cardinality.UNARY_UNARY, Empty, Empty, timeout=5) as stream:
            await stream.send_request()
            await stream._stream.send_data(body, end_stream=end)  # else a library would put it right
            await stream.recv_initial_metadata()
    except GRPCError as error:
        return error.status
    return Status.OK


def head(size: int, *, compressed: bool = False) -> bytes:
    """Return what a message of so many bytes begins with."""
    return struct.pack(">?I", compressed, size)


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("nothing", b"", Status.INVALID_ARGUMENT),
        ("no message", head(3) + b"\xff\xff\xff", Status.INVALID_ARGUMENT),
        ("half a head", head(3)[:2], Status.INVALID_ARGUMENT),
        ("half a message", head(30) + b"\x00", Status.INVALID_ARGUMENT),
        ("a compressed message", head(0, compressed=True), Status.INVALID_ARGUMENT),
        ("too large a message", head(SMALL_BYTES_MAX + 1), Status.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_breaks_the_protocol_is_answered_and_is_no_error_of_ours(
    what: str, body: bytes, status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as port:
        with caplog.at_level(logging.WARNING):
            assert await told(await port.anybody(), ISSUE, body) is status, what
            await asyncio.sleep(0)
        assert not caplog.records


@pytest.mark.parametrize("field", [("any-bin", "no base64 has so many"), ("any", "\u00e9")])
async def test_headers_that_are_none_are_no_error_of_ours(
    field: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    headers = {":method": "POST", ":scheme": "https", ":path": ISSUE, ":authority": "swarm-manager"}
    headers |= {"content-type": "application/grpc", "te": "trailers"} | dict([field])
    connection.send_headers(1, [*headers.items()])
    connection.send_data(1, head(0), end_stream=True)
    async with listening() as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port.number, ssl=await port.trusting(), server_hostname="swarm-manager"
        )
        writer.write(connection.data_to_send())
        answered = False
        async with asyncio.timeout(5):
            while not answered and (data := await reader.read(1 << 16)):
                answered = any(isinstance(each, h2.events.ResponseReceived) for each in connection.receive_data(data))
        writer.close()
        # a call with binary metadata is answered, and a connection that breaks HTTP is ended
        assert answered == field[0].endswith("-bin")
        assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_nobody_without_a_certificate_makes_the_port_keep_what_only_members_send() -> None:
    async with listening() as port:
        stranger, (_, worker) = await port.anybody(), await port.joined()
        large = head(SMALL_BYTES_MAX + 1)
        assert await told(stranger, ISSUE, large, end=False) is Status.RESOURCE_EXHAUSTED
        assert await told(stranger, STATUS, large, end=False) is Status.UNAUTHENTICATED
        # a member's is waited for
        assert await told(worker, STATUS, large + bytes(SMALL_BYTES_MAX)) is Status.INVALID_ARGUMENT
        assert await told(worker, STATUS, head(LARGE_BYTES_MAX + 1), end=False) is Status.RESOURCE_EXHAUSTED
