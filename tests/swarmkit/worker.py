"""A worker's side of the protocol, over TLS and HTTP/2: as much of an engine as the port can see."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpclib.client import Channel
from grpclib.config import Configuration
from skep import Cluster
from skep.model.ids import NodeId
from skep.model.states import Availability
from skep.runtime.certificates import key_pem, new_key
from skep_adapters.swarmkit.server import WorkerPort


@dataclass
class Port:
    """A manager that workers come in to."""

    cluster: Cluster
    stack: AsyncExitStack

    @property
    def number(self) -> int:
        """Where it listens, at 127.0.0.1."""
        engine = self.cluster.engine
        manager = engine.writer.state.nodes[engine.node_id].manager
        assert manager is not None
        return int(manager.addr.rpartition(":")[2])

    async def anybody(self) -> Channel:
        """Return a connection of somebody without a certificate."""
        return self.connect(await self.trusting())

    async def joined(self) -> tuple[NodeId, Channel]:
        """Return a new worker, and a connection of its."""
        node_id, context = await self.member()
        return node_id, self.connect(context)

    async def member(self) -> tuple[NodeId, ssl.SSLContext]:
        """Return a new worker, and what it connects with: the roots of now, its chain and its key."""
        key = new_key()
        token, _ = await self.cluster.swarm.tokens()
        issued = await self.cluster.engine.membership.admit(
            token, _csr(key), addr="127.0.0.1", availability=Availability.ACTIVE
        )
        context = await self.trusting()
        _show(context, issued.certificate, key)
        return issued.node_id, context

    async def renew(self, node_id: NodeId, context: ssl.SSLContext) -> None:
        """Get a worker another certificate; what it trusts stays as it is."""
        key = new_key()
        issued = await self.cluster.engine.membership.renew(node_id, _csr(key))
        _show(context, issued.certificate, key)

    async def trusting(self) -> ssl.SSLContext:
        """Return a context that trusts the swarm's present root, and has no certificate."""
        context = ssl.create_default_context(cadata=(await self.cluster.swarm.inspect()).root.certificate)
        context.set_alpn_protocols(["h2"])
        return context

    def connect(self, context: ssl.SSLContext) -> Channel:
        """Return a connection that is made when it is used, and closed with the port."""
        config = Configuration(ssl_target_name_override="swarm-manager")
        channel = Channel("127.0.0.1", self.number, ssl=context, config=config)
        self.stack.callback(channel.close)
        return channel


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def _show(context: ssl.SSLContext, chain: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Have connections show a certificate."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(chain.encode() + key_pem(key))
        file.flush()
        context.load_cert_chain(file.name)


@asynccontextmanager
async def listening() -> AsyncIterator[Port]:
    """Run a swarm that workers come in to at some port of 127.0.0.1."""
    async with Cluster.open(gate=WorkerPort("127.0.0.1:0")) as cluster, AsyncExitStack() as stack:
        yield Port(cluster, stack)
