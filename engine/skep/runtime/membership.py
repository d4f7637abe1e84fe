"""Membership: who may join, and the certificates by which nodes are known from then on.

A token says which role a joiner gets; of an engine that joins by a manager's token nothing is taken, since skep's
managers are no Docker managers. A node that was removed gets no certificate, whatever it still has.
"""

import enum
import hmac
from collections import OrderedDict

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from skep.core.commands import JoinNodes
from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import Sealed
from skep.model.states import Availability, Role
from skep.model.swarm import Cluster, RootCa, Rotation
from skep.ports.clock import Clock, Draw, Ids
from skep.ports.keyring import Keyring
from skep.runtime.authority import new_root, new_token
from skep.runtime.certificates import CertificateError, Identity, NodeRole, Signer, requested_key
from skep.runtime.errors import NoSwarm
from skep.runtime.sealing import seal, unseal
from skep.runtime.writer import Writer

#: Where a swarm says nothing: 90 days.
VALID_NS = 90 * 24 * 3600 * 1_000_000_000

#: Certificates that were issued and not asked for yet. An engine asks at once; what is older was given up.
PENDING_MAX = 1000

#: A token of ours has 85 characters.
TOKEN_CHARS_MAX = 200


class Refusal(enum.Enum):
    """Why a joiner or a node gets no certificate."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"


class Refused(Exception):
    """A joiner or a node gets no certificate; the message is for its user."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        self.refusal = refusal
        super().__init__(message)


class Issued(Struct, frozen=True):
    """A node's certificate, a chain in PEM, with the request that it answers."""

    node_id: NodeId
    csr: bytes
    certificate: str


class Membership:
    """Lets nodes in, and gives them certificates. Soft state apart from what is in the log."""

    def __init__(self, writer: Writer, keyring: Keyring, *, clock: Clock, ids: Ids, draw: Draw) -> None:
        self._writer = writer
        self._keyring = keyring
        self._clock = clock
        self._ids = ids
        self._draw = draw
        self._signer: tuple[str, Signer] | None = None
        self._pending: OrderedDict[NodeId, Issued] = OrderedDict()
        #: tokens that nobody but this process knows, each for one node that is a member already
        self._own: dict[str, NodeId] = {}

    async def admit(self, token: str, csr: bytes, *, addr: str, availability: Availability) -> Issued:
        """Take a joiner in as a worker.

        Raises:
            Refused: the token, or the request, is not good.
        """
        key = _key(csr)
        cluster = await self._cluster()
        node_id = self._own_node(token)
        if node_id is None:
            await self._check(cluster, token)
            node_id = NodeId(self._ids.new())
            await self._writer.submit(
                JoinNodes(
                    node_ids=(node_id,),
                    specs=(NodeSpec(labels={}, role=Role.WORKER, availability=availability),),
                    descriptions=(NodeDescription(),),
                    addrs=(addr,),
                    managers=(None,),
                    certified=True,
                ),
                actor=Actor("agent", node_id),
            )
        return await self._issue(cluster, node_id, csr, key)

    async def renew(self, node_id: NodeId, csr: bytes) -> Issued:
        """Give a member a new certificate.

        Raises:
            Refused: it is no member, or the request is not good.
        """
        key = _key(csr)
        cluster = await self._cluster()
        if not await self.knows(node_id):
            raise Refused(Refusal.FORBIDDEN, f"node {node_id} is not a member of this swarm")
        return await self._issue(cluster, node_id, csr, key)

    def issued(self, node_id: NodeId) -> Issued:
        """Return the certificate that was issued to a node last, if that was not long ago.

        Raises:
            Refused: none was.
        """
        found = self._pending.get(node_id)
        if found is None:
            raise Refused(Refusal.UNKNOWN, f"no certificate was issued to node {node_id}")
        return found

    async def knows(self, node_id: NodeId) -> bool:
        """Return whether a node is a member."""
        return await self._writer.read(lambda state: node_id in state.nodes)

    async def manager_chain(self, node_id: NodeId, key: ec.EllipticCurvePublicKey) -> tuple[str, str]:
        """Return the chain for the manager's own key, and the roots to trust, both PEM.

        A node that was away when the root was replaced trusts the former one, and hears of the present one here only.
        """
        cluster = await self._cluster()
        signer = await self._signing(cluster)
        identity = Identity(cluster.id, node_id, NodeRole.MANAGER)
        chain = signer.issue(identity, key, now=self._clock.now(), valid_ns=_valid_ns(cluster))
        chain += cluster.crossed
        return chain, cluster.root.certificate + (cluster.rotation.root.certificate if cluster.rotation else "")

    async def rotation(self) -> Rotation:
        """Return a new root that is to replace the present one, sealed, and trusted by whoever trusts that."""
        cluster = await self._cluster()
        old = Signer(cluster.root.certificate, await unseal(self._keyring, cluster.root.key))
        new = new_root(self._clock.now(), draw=self._draw)
        key = await seal(self._keyring, f"root-{self._ids.new()}", new.key, draw=self._draw)
        root = RootCa(new.certificate, key, new.issuer_subject, new.issuer_public_key)
        return Rotation(root, old.cross_sign(new.certificate, draw=self._draw))

    async def own_token(self, node_id: NodeId) -> str:
        """Return a token by which an engine joins as the node `node_id`, once, while this process lives."""
        token = new_token((await self._cluster()).root.certificate, draw=self._draw)
        self._own = {known: owner for known, owner in self._own.items() if owner != node_id}
        self._own[token] = node_id
        return token

    def _own_node(self, token: str) -> NodeId | None:
        found = [known for known in self._own if _same(known, token)]
        return self._own.pop(found[0]) if found else None

    async def _check(self, cluster: Cluster, token: str) -> None:
        if len(token) > TOKEN_CHARS_MAX:
            raise Refused(Refusal.INVALID, "A valid join token is necessary to join this cluster")
        is_worker = _same(await self._token(cluster.tokens.worker), token)
        is_manager = _same(await self._token(cluster.tokens.manager), token)
        if is_manager:
            raise Refused(
                Refusal.INVALID,
                "A Docker Engine cannot be a manager of this swarm, which skep manages: use the token of "
                "docker swarm join-token worker",
            )
        if not is_worker:
            raise Refused(Refusal.INVALID, "A valid join token is necessary to join this cluster")

    async def _token(self, sealed: Sealed) -> str:
        return (await unseal(self._keyring, sealed)).decode()

    async def _issue(self, cluster: Cluster, node_id: NodeId, csr: bytes, key: ec.EllipticCurvePublicKey) -> Issued:
        signer = await self._signing(cluster)
        identity = Identity(cluster.id, node_id, NodeRole.WORKER)
        chain = signer.issue(identity, key, now=self._clock.now(), valid_ns=_valid_ns(cluster))
        issued = Issued(node_id, csr, chain)
        self._pending[node_id] = issued
        self._pending.move_to_end(node_id)
        while len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
        return issued

    async def _signing(self, cluster: Cluster) -> Signer:
        rotation = cluster.rotation
        root, crossed = (rotation.root, rotation.crossed) if rotation is not None else (cluster.root, "")
        known = f"{root.key.key_id} {bool(crossed)}"
        if self._signer is None or self._signer[0] != known:
            self._signer = known, Signer(root.certificate, await unseal(self._keyring, root.key), crossed)
        return self._signer[1]

    async def _cluster(self) -> Cluster:
        return await self._writer.read(_cluster)


def _cluster(state: ClusterState) -> Cluster:
    if state.cluster is None:
        raise NoSwarm
    return state.cluster


def _key(csr: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return requested_key(csr)
    except CertificateError as error:
        raise Refused(Refusal.INVALID, str(error)) from None


def _valid_ns(cluster: Cluster) -> int:
    config = cluster.spec.ca_config
    return config.node_cert_expiry if config is not None and config.node_cert_expiry > 0 else VALID_NS


def _same(known: str, given: str) -> bool:
    """Compare two tokens in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(known.encode(), given.encode())
