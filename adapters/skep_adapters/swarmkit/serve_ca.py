"""The authority: hands out the swarm's root, and certificates to whoever joins by a token or is a member already."""

from typing import Any

import structlog
from grpclib import GRPCError, Status
from grpclib.server import Stream
from skep.model.ids import NodeId
from skep.model.states import Availability
from skep.ports.keyring import KeyringError
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError
from skep.runtime.membership import Issued, Refusal, Refused

from skep_adapters.swarmkit.caller import address_of, asked, maybe_node_of
from skep_adapters.swarmkit.wire import ca_grpc, ca_pb2, specs_pb2, types_pb2

_log = structlog.get_logger("skep.swarmkit")

_STATUS = {
    Refusal.INVALID: Status.INVALID_ARGUMENT,
    Refusal.FORBIDDEN: Status.PERMISSION_DENIED,
    Refusal.UNKNOWN: Status.NOT_FOUND,
}


class Authority(ca_grpc.CABase):
    """Answers whoever wants to join, and knows nothing of the swarm but the digest in its token."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def GetRootCACertificate(  # noqa: N802 - the protocol's name
        self, stream: Stream[ca_pb2.GetRootCACertificateRequest, ca_pb2.GetRootCACertificateResponse]
    ) -> None:
        """Answer the root: the digest in the tokens is of these bytes."""
        await asked(stream)
        cluster = self._engine.writer.state.cluster
        if cluster is None:
            raise GRPCError(Status.UNAVAILABLE, "there is no swarm")
        await stream.send_message(ca_pb2.GetRootCACertificateResponse(certificate=cluster.root.certificate.encode()))

    async def GetUnlockKey(self, stream: Stream[Any, Any]) -> None:  # noqa: N802, ARG002 - the protocol's
        """Refuse: only managers ask."""
        raise GRPCError(Status.UNIMPLEMENTED, "GetUnlockKey is not offered by this manager")


class NodeAuthority(ca_grpc.NodeCABase):
    """Issues certificates."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def IssueNodeCertificate(  # noqa: N802 - the protocol's name
        self, stream: Stream[ca_pb2.IssueNodeCertificateRequest, ca_pb2.IssueNodeCertificateResponse]
    ) -> None:
        """Issue one at once: to a member for its present certificate, to a joiner for a token."""
        request: ca_pb2.IssueNodeCertificateRequest = await asked(stream)
        cluster = self._engine.writer.state.cluster
        if cluster is None:
            raise GRPCError(Status.UNAVAILABLE, "there is no swarm")
        member = maybe_node_of(stream, cluster.id)
        membership = self._engine.membership
        try:
            if member is not None and not request.token:
                issued = await membership.renew(member, request.csr)
            else:
                issued = await membership.admit(
                    request.token,
                    request.csr,
                    addr=address_of(stream),
                    availability=_availability(request.availability),
                )
        except Refused as error:
            _log.warning("swarmkit.refused", addr=address_of(stream), node_id=member or "", reason=str(error))
            raise GRPCError(_STATUS[error.refusal], str(error)) from None
        except EngineError as error:
            raise GRPCError(Status.UNAVAILABLE, str(error)) from None
        except KeyringError as error:  # rotated this very moment, or not to be read now
            _log.warning("swarmkit.no_certificate_issued", addr=address_of(stream), reason=str(error))
            raise GRPCError(Status.UNAVAILABLE, "the swarm cannot issue certificates now: try again") from None
        await stream.send_message(
            ca_pb2.IssueNodeCertificateResponse(node_id=issued.node_id, node_membership="ACCEPTED")
        )

    async def NodeCertificateStatus(  # noqa: N802 - the protocol's name
        self, stream: Stream[ca_pb2.NodeCertificateStatusRequest, ca_pb2.NodeCertificateStatusResponse]
    ) -> None:
        """Answer the certificate that was issued; it is no secret."""
        request: ca_pb2.NodeCertificateStatusRequest = await asked(stream)
        try:
            issued = self._engine.membership.issued(NodeId(request.node_id))
        except Refused as error:
            raise GRPCError(_STATUS[error.refusal], str(error)) from None
        await stream.send_message(_answer(issued))


def _answer(issued: Issued) -> ca_pb2.NodeCertificateStatusResponse:
    """Return the certificate with the request that it answers: an agent waits on if that is not its own."""
    status = types_pb2.IssuanceStatus(state=types_pb2.IssuanceStatus.ISSUED)
    return ca_pb2.NodeCertificateStatusResponse(
        status=status,
        certificate=types_pb2.Certificate(
            role=types_pb2.WORKER,
            csr=issued.csr,
            status=status,
            certificate=issued.certificate.encode(),
            cn=issued.node_id,
        ),
    )


def _availability(number: int) -> Availability:
    name = specs_pb2.NodeSpec.Availability.Name(number) if number in specs_pb2.NodeSpec.Availability.values() else ""
    return Availability[name] if name in Availability.__members__ else Availability.ACTIVE
