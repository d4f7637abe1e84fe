"""Containers that people run join networks: as workers ask, over TLS and HTTP/2, and each for its own node only."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.config import Configuration
from msgspec.structs import replace
from skep import Cluster, network_spec
from skep.model.ids import NodeId
from skep.model.states import Availability
from skep_adapters.swarmkit.server import WorkerPort
from skep_adapters.swarmkit.wire import resource_pb2, types_pb2
from skep_adapters.swarmkit.wire.resource_grpc import ResourceAllocatorStub


class Workers:
    """A manager's port, and two workers that call it; the third caller has no certificate."""

    def __init__(self, cluster: Cluster, nodes: list[NodeId], stubs: list[ResourceAllocatorStub]) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.stubs = stubs

    async def attach(self, worker: int, target: str, container_id: str = "abc", *addresses: str) -> str:
        config = types_pb2.NetworkAttachmentConfig(target=target, addresses=addresses)
        request = resource_pb2.AttachNetworkRequest(config=config, container_id=container_id)
        return (await self.stubs[worker].AttachNetwork(request, timeout=5)).attachment_id

    async def detach(self, worker: int, attachment_id: str) -> None:
        await self.stubs[worker].DetachNetwork(resource_pb2.DetachNetworkRequest(attachment_id=attachment_id))

    @property
    def attached(self) -> dict[str, tuple[str, str]]:
        """The node and the address of each attachment."""
        return {one.id: (one.node_id, one.addr) for one in self.cluster.engine.writer.state.attachments.values()}


@asynccontextmanager
async def workers() -> AsyncIterator[Workers]:
    async with Cluster.open(gate=WorkerPort("127.0.0.1:0")) as cluster, AsyncExitStack() as stack:
        for name, attachable in (("inside", True), ("closed", False)):
            await cluster.networks.create(replace(network_spec(name), attachable=attachable))
        engine = cluster.engine
        manager = engine.writer.state.nodes[engine.node_id].manager
        assert manager is not None
        root = (await cluster.swarm.inspect()).root.certificate
        port = int(manager.addr.rpartition(":")[2])
        nodes, stubs = [], []
        for number in range(3):
            context = ssl.create_default_context(cadata=root)
            context.set_alpn_protocols(["h2"])
            if number < 2:
                nodes.append(await join(cluster, context))
            override = Configuration(ssl_target_name_override="swarm-manager")
            channel = Channel("127.0.0.1", port, ssl=context, config=override)
            stack.callback(channel.close)
            stubs.append(ResourceAllocatorStub(channel))
        yield Workers(cluster, nodes, stubs)


async def join(cluster: Cluster, context: ssl.SSLContext) -> NodeId:
    """Make a worker a member, and have it show its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    token, _ = await cluster.swarm.tokens()
    issued = await cluster.engine.membership.admit(
        token, csr.public_bytes(serialization.Encoding.PEM), addr="127.0.0.1", availability=Availability.ACTIVE
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(issued.certificate.encode() + key.private_bytes(*plain))
        file.flush()
        context.load_cert_chain(file.name)
    return issued.node_id


async def refusal(call: object) -> tuple[Status, str | None]:
    with pytest.raises(GRPCError) as caught:
        await call  # type: ignore[misc]  # a coroutine
    return caught.value.status, caught.value.message


async def test_a_worker_attaches_its_containers_and_detaches_them() -> None:
    async with workers() as swarm:
        one = await swarm.attach(0, "inside")
        two = await swarm.attach(1, "inside", "abc", "10.0.1.9")
        assert swarm.attached == {one: (swarm.nodes[0], "10.0.1.2/24"), two: (swarm.nodes[1], "10.0.1.9/24")}
        await swarm.detach(0, one)
        await swarm.detach(1, two)
        assert swarm.attached == {}


async def test_nothing_of_another_node_is_detached() -> None:
    async with workers() as swarm:
        one = await swarm.attach(0, "inside")
        words = f"attachment {one} doesn't belong to this node"
        assert await refusal(swarm.detach(1, one)) == (Status.PERMISSION_DENIED, words)
        assert [*swarm.attached] == [one]


async def test_a_removed_node_and_one_without_a_certificate_attach_nothing() -> None:
    async with workers() as swarm:
        one = await swarm.attach(0, "inside")
        await swarm.cluster.nodes.remove(swarm.nodes[0], force=True)
        words = f"node {swarm.nodes[0]} not found"
        assert await refusal(swarm.attach(0, "inside")) == (Status.NOT_FOUND, words)
        assert await refusal(swarm.detach(0, one)) == (Status.NOT_FOUND, f"attachment {one} not found")
        nobody = (Status.UNAUTHENTICATED, "a certificate of this swarm is needed")
        assert await refusal(swarm.attach(2, "inside")) == nobody
        assert await refusal(swarm.detach(2, one)) == nobody
        assert swarm.attached == {}


async def test_what_cannot_be_joined_is_refused_in_swarms_words() -> None:
    async with workers() as swarm:
        words = "network closed not manually attachable"
        assert await refusal(swarm.attach(0, "closed")) == (Status.PERMISSION_DENIED, words)
        assert await refusal(swarm.attach(0, "elsewhere")) == (Status.NOT_FOUND, "network elsewhere not found")
        # the swarm knows what every engine has of its own, and that no container joins it by way of the manager
        words = "network bridge not manually attachable"
        assert await refusal(swarm.attach(0, "bridge")) == (Status.PERMISSION_DENIED, words)
        words = "address 10.9.9.9 is none that network inside gives"
        assert await refusal(swarm.attach(0, "inside", "abc", "10.9.9.9")) == (Status.INVALID_ARGUMENT, words)
        assert swarm.attached == {}


@pytest.mark.parametrize(
    ("target", "container_id", "addresses", "words"),
    [
        ("", "abc", (), "config.target is missing"),
        ("inside", "", (), "container_id is missing"),
        ("x" * 200, "abc", (), "config.target has 200 characters"),
        ("inside", "x" * 200, (), "container_id has 200 characters"),
        ("inside", "abc", ("x" * 200,), "config.addresses has 200 characters"),
        ("inside", "abc", ("10.0.1.9",) * 5, "config.addresses has 5 entries"),
    ],
)
async def test_what_is_missing_or_too_long_is_refused_by_field(
    target: str, container_id: str, addresses: tuple[str, ...], words: str
) -> None:
    async with workers() as swarm:
        refused = await refusal(swarm.attach(0, target, container_id, *addresses))
        assert refused == (Status.INVALID_ARGUMENT, words)
        assert await refusal(swarm.detach(0, "")) == (Status.INVALID_ARGUMENT, "attachment_id is missing")
        assert swarm.attached == {}
