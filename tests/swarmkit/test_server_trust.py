"""Whom the port trusts, and who trusts it, while roots and keys change."""

import asyncio
import ssl

import pytest
from grpclib import GRPCError, Status
from grpclib.exceptions import StreamTerminatedError
from msgspec.structs import replace
from skep.core.commands import DescribeNode
from skep.core.record import Actor
from skep.model.ids import NodeId
from skep.model.node import NodeDescription, TlsInfo
from skep.model.swarm import CaConfig, issuing_root
from skep.ports.keyring import KeyringError
from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2
from skep_adapters.swarmkit.wire.ca_grpc import CAStub, NodeCAStub
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub

from tests.swarmkit.worker import Port, listening
from tests.trust.requests import csr


async def rotate(port: Port) -> None:
    """Begin to replace the root."""
    swarm = await port.cluster.swarm.inspect()
    config = swarm.spec.ca_config or CaConfig()
    config = replace(config, force_rotate=config.force_rotate + 1)
    await port.cluster.swarm.update(swarm.version, replace(swarm.spec, ca_config=config))


async def describe(port: Port, node_id: NodeId) -> None:
    """Let a node say that it has a certificate of the root that signs now."""
    root = issuing_root(await port.cluster.swarm.inspect())
    info = TlsInfo(root.certificate, root.issuer_subject, root.issuer_public_key)
    command = DescribeNode(node_id, NodeDescription(hostname="worker", tls_info=info))
    await port.cluster.engine.writer.submit(command, actor=Actor("agent", node_id))


async def ended(port: Port) -> None:
    """Wait until the root is replaced, which tells nobody, and the port has its certificate of the new one."""
    async with asyncio.timeout(5):
        while (await port.cluster.swarm.inspect()).rotation is not None:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


async def answers(port: Port, context: ssl.SSLContext) -> Status | type[Exception]:
    """Return what a member's heartbeat of no session comes to."""
    try:
        await DispatcherStub(port.connect(context)).Heartbeat(dispatcher_pb2.HeartbeatRequest(), timeout=5)
    except GRPCError as error:
        return error.status
    except (ssl.SSLError, StreamTerminatedError, ConnectionError) as error:
        return type(error)
    return Status.OK


KNOWN = Status.ABORTED  # it is known, and has no session


async def test_who_was_away_when_the_root_was_replaced_still_finds_its_manager() -> None:
    async with listening() as port:
        node_id, away = await port.member()
        await rotate(port)
        await port.renew(node_id, away)
        # it falls silent before it hears that the new root is all there is
        await describe(port, node_id)
        await ended(port)
        assert away.get_ca_certs() != (await port.trusting()).get_ca_certs()
        assert await answers(port, away) is KNOWN
        # not even another rotation, which waits for it, keeps it out
        await rotate(port)
        await asyncio.sleep(0.1)
        assert await answers(port, away) is KNOWN


async def test_a_certificate_of_a_root_that_was_replaced_is_worth_nothing() -> None:
    async with listening() as port:
        node_id, late = await port.member()
        assert await answers(port, late) is KNOWN
        connected = DispatcherStub(port.connect(late))
        with pytest.raises(GRPCError):
            await connected.Heartbeat(dispatcher_pb2.HeartbeatRequest(), timeout=5)
        await rotate(port)
        assert await answers(port, late) is KNOWN
        await describe(port, node_id)
        await ended(port)
        assert await answers(port, late) is not KNOWN
        with pytest.raises((ssl.SSLError, StreamTerminatedError, ConnectionError)):  # what it had open is no way either
            await connected.Heartbeat(dispatcher_pb2.HeartbeatRequest(), timeout=5)


async def root_of(port: Port) -> str:
    """Return the root that the port hands out. Who connects while one is dropped is cut off, and asks again."""
    while True:
        try:
            answer = await CAStub(await port.anybody()).GetRootCACertificate(
                ca_pb2.GetRootCACertificateRequest(), timeout=5
            )
        except (ConnectionError, StreamTerminatedError):
            await asyncio.sleep(0.05)
        else:
            return answer.certificate.decode()


async def test_a_keyring_that_cannot_be_read_for_a_moment_is_no_end_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as port:
        keyring = port.cluster.engine.store.keyring
        root = (await port.cluster.swarm.inspect()).root.certificate
        get = keyring.get

        async def broken(_: str) -> bytes | None:
            raise KeyringError("the disk is not there")

        monkeypatch.setattr("skep_adapters.swarmkit.trust.RETRY_S", 0.1)
        stranger = await port.anybody()
        await rotate(port)  # the port needs another certificate
        monkeypatch.setattr(keyring, "get", broken)
        issue = ca_pb2.IssueNodeCertificateRequest(csr=csr(), token="SWMTKN-1-wrong")  # noqa: S106 - of nobody
        with pytest.raises(GRPCError) as caught:
            await NodeCAStub(stranger).IssueNodeCertificate(issue, timeout=5)
        assert caught.value.status is Status.UNAVAILABLE
        assert "disk" not in str(caught.value.message)
        await asyncio.sleep(0.3)
        monkeypatch.setattr(keyring, "get", get)
        await ended(port)
        assert await root_of(port) != root
