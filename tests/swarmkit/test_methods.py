"""Every method of the protocol is answered, by a real server to a real client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.server import Server, Stream
from skep_adapters.swarmkit.methods import METHODS, Unimplemented
from skep_adapters.swarmkit.wire import ca_grpc, dispatcher_grpc, health_grpc, logbroker_grpc, resource_grpc
from skep_adapters.swarmkit.wire.health_pb2 import HealthCheckRequest, HealthCheckResponse

STUBS = (
    ca_grpc.CABase,
    ca_grpc.NodeCABase,
    dispatcher_grpc.DispatcherBase,
    health_grpc.HealthBase,
    logbroker_grpc.LogBrokerBase,
    logbroker_grpc.LogsBase,
    resource_grpc.ResourceAllocatorBase,
)


class Health(health_grpc.HealthBase):
    async def Check(  # noqa: N802 - the protocol's name
        self, stream: Stream[HealthCheckRequest, HealthCheckResponse]
    ) -> None:
        request = await stream.recv_message()
        assert request is not None
        await stream.send_message(HealthCheckResponse(status="SERVING"))


@asynccontextmanager
async def connected(*handlers: Any) -> AsyncIterator[Channel]:
    server = Server(handlers)
    await server.start("127.0.0.1", 0)
    assert server._server is not None
    port = server._server.sockets[0].getsockname()[1]
    channel = Channel("127.0.0.1", port)
    try:
        yield channel
    finally:
        channel.close()
        server.close()
        await server.wait_closed()


async def call(channel: Channel, path: str, cardinality: Cardinality) -> GRPCError:
    try:
        async with channel.request(path, cardinality, Empty, Empty, timeout=5) as stream:
            await stream.send_message(Empty(), end=True)
            await stream.recv_message()
    except GRPCError as error:
        return error
    pytest.fail(f"{path} was answered")


async def test_every_method_that_is_not_offered_says_so() -> None:
    async with connected(Unimplemented(())) as channel:
        for path, cardinality in METHODS.items():
            error = await call(channel, path, cardinality)
            assert (error.status, error.message) == (Status.UNIMPLEMENTED, f"{path} is not offered by this manager")


async def test_a_method_that_is_offered_is_left_to_its_handler() -> None:
    health = Health()
    async with connected(health, Unimplemented(health.__mapping__())) as channel:
        answer = await health_grpc.HealthStub(channel).Check(HealthCheckRequest(service="CA"))
        assert answer.status == HealthCheckResponse.SERVING
        error = await call(channel, "/docker.swarmkit.v1.Dispatcher/Tasks", Cardinality.UNARY_STREAM)
        assert error.status is Status.UNIMPLEMENTED


async def test_a_method_that_nobody_registered_looks_like_a_broken_peer() -> None:
    async with connected(Health()) as channel:
        error = await call(channel, "/docker.swarmkit.v1.Dispatcher/Tasks", Cardinality.UNARY_STREAM)
    assert (error.status, error.message) == (Status.UNKNOWN, "Missing content-type header")


def test_the_generated_stubs_have_no_method_that_the_table_lacks() -> None:
    for stub in STUBS:
        kind: Any = type(stub.__name__, (stub,), dict.fromkeys(stub.__abstractmethods__))
        for path, handler in kind().__mapping__().items():
            assert METHODS[path] is handler.cardinality, path


def test_what_only_managers_call_is_known_too() -> None:
    services = {path.split("/")[1].removeprefix("docker.swarmkit.v1.") for path in METHODS}
    assert services == {
        "CA", "NodeCA", "Dispatcher", "LogBroker", "Logs", "ResourceAllocator", "Health",
        "Control", "Watch", "Raft", "RaftMembership",
    }  # fmt: skip
    assert METHODS["/docker.swarmkit.v1.RaftMembership/Join"] is Cardinality.UNARY_UNARY
    assert METHODS["/docker.swarmkit.v1.LogBroker/PublishLogs"] is Cardinality.STREAM_UNARY
    assert METHODS["/docker.swarmkit.v1.Dispatcher/UpdateVolumeStatus"] is Cardinality.UNARY_UNARY
    assert len(METHODS) == 65
