"""The cable of a machine that came in by a token: both ends look at certificates, and the machine renews its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography import x509

from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.ports.link import LinkError, SessionMessage, SessionRequest
from skep.runtime.certificates import new_key
from skep.runtime.dispatcher import LocalLink
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError
from skep.runtime.membership import Refusal, Refused
from skep.testing.simulation.cable import Cable, Surroundings
from skep.testing.simulation.papers import Papers, is_trusted

#: An engine asks for another certificate within seconds of being told to.
ASKS_S_MAX = 3.0


class CertifiedCable(Cable):
    """A `Cable` that leads only those through whose certificates are trusted."""

    def __init__(self, world: Surroundings, node_id: NodeId, papers: Papers) -> None:
        super().__init__(world, node_id)
        self._papers = papers
        self._manager_key = new_key(world.draw)
        self._renewing = False
        #: whether the last certificate that was looked at, and the roots, went together
        self._looked: tuple[tuple[object, ...], bool] = ((), False)

    def _reach(self) -> tuple[Engine, LocalLink]:
        engine, link = super()._reach()
        if not self._papers.valid(self._world.clock.now()):
            self._world.note("certificate-out-of-date")
            raise LinkError("the certificate is not valid now")
        roots = roots_of(engine.writer.state)
        if self._looked[0] != (self._papers.serial, roots):
            self._looked = (self._papers.serial, roots), self._papers.trusted_by(roots)
        if not self._looked[1]:
            raise LinkError("the certificate is of a root that is not trusted")
        return engine, link

    @asynccontextmanager
    async def session(self, request: SessionRequest) -> AsyncIterator[AsyncIterator[SessionMessage]]:
        """Register, if the manager's certificate can be trusted."""
        engine, _ = self._reach()
        chain, _ = await engine.membership.manager_chain(engine.node_id, self._manager_key.public_key())
        if not is_trusted(x509.load_pem_x509_certificates(chain.encode()), self._papers.roots):
            raise LinkError("the manager's certificate is of a root that is not trusted")
        async with super().session(request) as messages:
            yield self._heeded(engine, messages)

    async def _heeded(self, engine: Engine, messages: AsyncIterator[SessionMessage]) -> AsyncIterator[SessionMessage]:
        async for message in messages:
            self._papers.trust(message.root_ca, engine.writer.head.position)
            if message.renew:
                self._renew_later()
            yield message

    async def heartbeat(self, session_id: str) -> float:
        """Tell that the agent lives, and see whether the certificate grows old."""
        period_s = await super().heartbeat(session_id)
        if self._papers.old(self._world.clock.now()):
            self._renew_later()
        return period_s

    def _renew_later(self) -> None:
        if not self._renewing:
            self._renewing = True
            self._world.later(self._world.draw_s(0, ASKS_S_MAX), self.renew)

    async def renew(self) -> None:
        """Get another certificate; the agent says so of itself in another session."""
        self._renewing = False
        try:
            engine, _ = self._reach()
            issued = await engine.membership.renew(self._node_id, self._papers.request())
            self._hear(engine)
        except (LinkError, EngineError):
            return
        except Refused as error:
            if error.refusal is not Refusal.FORBIDDEN:
                raise
            self._world.note("removed-node-refused-a-certificate")
            return
        self._papers.take(issued.certificate, engine.writer.head.position)
        self._world.note("certificate-renewed")
        self.sever("it has another certificate")


def roots_of(state: ClusterState) -> str:
    """Return the roots that the manager trusts."""
    cluster = state.cluster
    if cluster is None:
        return ""
    return cluster.root.certificate + (cluster.rotation.root.certificate if cluster.rotation is not None else "")
