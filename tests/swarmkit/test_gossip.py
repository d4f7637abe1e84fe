"""The gossip seed: who looks for others is passed on to one that lives, and to nobody else for long."""

import socket
import struct
import time
from contextlib import ExitStack

import anyio
import pytest
from skep import Cluster
from skep.core.commands import JoinNodes, ObserveNodes
from skep.core.record import Actor
from skep.model.ids import NodeId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.states import Availability, NodeState, Role
from skep_adapters.swarmkit import gossip

from tests.files import none_left

ADDR = "127.0.0.1"


async def engines_at(cluster: Cluster, *addrs: str) -> None:
    """Have engines at these addresses, which are heard."""
    nodes = tuple(NodeId(f"n{addr}") for addr in addrs)
    spec = NodeSpec(labels={}, role=Role.WORKER, availability=Availability.ACTIVE)
    join = JoinNodes(
        node_ids=nodes,
        specs=(spec,) * len(nodes),
        descriptions=(NodeDescription(),) * len(nodes),
        addrs=addrs,
        managers=(None,) * len(nodes),
        certified=True,
    )
    await cluster.engine.writer.submit(join, actor=Actor("engine"))
    await cluster.engine.writer.submit(ObserveNodes(nodes, NodeState.READY), actor=Actor("engine"))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.socket() as probe:
        probe.bind((ADDR, 0))
        number: int = probe.getsockname()[1]
    monkeypatch.setattr(gossip, "PORT", number)
    return number


async def test_a_caller_is_passed_on_to_another_engine_that_lives(port: int) -> None:
    async def echo(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"heard " + await stream.receive())

    async with Cluster.open() as cluster:
        # the caller's own, one that does not answer, one that does
        await engines_at(cluster, ADDR, "127.0.0.2", "127.0.0.3")
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.3", local_port=port) as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, echo)
            async with gossip.passed_on(cluster.engine, ADDR), await anyio.connect_tcp(ADDR, port) as caller:
                await caller.send(b"hello")
                assert await caller.receive() == b"heard hello"
            group.cancel_scope.cancel()


async def test_a_caller_does_not_wait_for_all_that_are_out_of_reach(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "FIND_S", 0.3)
    addrs = [f"127.0.0.{number}" for number in range(2, 6)]
    async with Cluster.open() as cluster:
        await engines_at(cluster, ADDR, *addrs)
        with ExitStack() as stack:
            for addr in addrs:  # its queue is full, so it answers nobody: as if packets went nowhere
                full = stack.enter_context(socket.socket())
                full.bind((addr, port))
                full.listen(0)
                stack.enter_context(socket.create_connection((addr, port)))
            async with gossip.passed_on(cluster.engine, ADDR), await anyio.connect_tcp(ADDR, port) as caller:
                began = time.monotonic()
                with pytest.raises(anyio.EndOfStream):
                    await caller.receive()
                assert 0.2 < time.monotonic() - began < 3


async def test_a_caller_that_is_no_engine_of_the_swarm_is_passed_on_to_nobody(port: int) -> None:
    taken: list[anyio.abc.SocketStream] = []

    async def take(stream: anyio.abc.SocketStream) -> None:
        taken.append(stream)
        await stream.aclose()

    async with Cluster.open() as cluster:
        await engines_at(cluster, "127.0.0.3")
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.3", local_port=port) as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, take)
            async with gossip.passed_on(cluster.engine, ADDR):
                await heard_out(port)
                await anyio.sleep(0.1)
            assert not taken
            group.cancel_scope.cancel()


async def test_callers_that_are_gone_at_once_end_nothing(port: int) -> None:
    async with Cluster.open() as cluster, gossip.passed_on(cluster.engine, ADDR):
        for _ in range(5):
            # they have reset their connections before these are taken
            for _ in range(20):
                with socket.create_connection((ADDR, port)) as caller:
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await anyio.sleep(0.02)
        await heard_out(port)


async def test_callers_are_taken_again_when_files_can_be_opened_again(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip, "ACCEPT_AGAIN_S", 0.05)
    async with Cluster.open() as cluster, gossip.passed_on(cluster.engine, ADDR):
        with socket.socket() as caller:
            with none_left():
                caller.connect((ADDR, port))
                await anyio.sleep(0.2)
            await heard_out(port)


async def heard_out(port: int) -> None:
    """See that a caller is taken: where there is no engine that lives, its connection is closed."""
    async with await anyio.connect_tcp(ADDR, port) as caller:
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await caller.receive()
