"""Who calls: the node that the certificate names, and what may come of its call.

TLS has proved that the certificate is of the swarm's root. That the node still is a member is for the handlers to ask.
"""

from typing import Any

from google.protobuf.message import DecodeError
from grpclib import GRPCError, Status
from grpclib.server import Stream
from skep.model.ids import ClusterId, NodeId
from skep.runtime.certificates import NodeRole

#: The largest message of reports or lines. Only members send them.
LARGE_BYTES_MAX = 4 * 1024 * 1024

#: The largest of all others. Anybody may begin a hundred calls on each connection, and leave them all unfinished.
SMALL_BYTES_MAX = 32 * 1024


def node_of(stream: Stream[Any, Any], cluster_id: ClusterId) -> NodeId:
    """Return the worker that calls.

    Raises:
        GRPCError: nobody that is known, or no worker.
    """
    node_id = maybe_node_of(stream, cluster_id)
    if node_id is None:
        raise GRPCError(Status.UNAUTHENTICATED, "a certificate of this swarm is needed")
    return node_id


def maybe_node_of(stream: Stream[Any, Any], cluster_id: ClusterId) -> NodeId | None:
    """Return the worker that calls, or None if it has no certificate.

    Raises:
        GRPCError: its certificate is of another swarm, or not a worker's.
    """
    certificate = stream.peer.cert() if stream.peer is not None else None
    if not certificate:
        return None
    subject = {name: value for part in certificate["subject"] for name, value in part}
    if subject.get("organizationName") != cluster_id:
        raise GRPCError(Status.PERMISSION_DENIED, "the certificate is of another swarm")
    if subject.get("organizationalUnitName") != NodeRole.WORKER or not subject.get("commonName"):
        raise GRPCError(Status.PERMISSION_DENIED, "the certificate is not that of a worker")
    return NodeId(subject["commonName"])


def address_of(stream: Stream[Any, Any]) -> str:
    """Return the address that the call comes from: that is the node's, since it says no other."""
    peer = stream.peer.addr() if stream.peer is not None else None
    return str(peer[0]) if peer else ""


async def received(stream: Stream[Any, Any], bytes_max: int = SMALL_BYTES_MAX) -> Any:
    """Return the next message of a stream; None at its end.

    Raises:
        GRPCError: it is too large, or none.
    """
    _bound(stream, bytes_max)
    try:
        return await stream.recv_message()
    except (DecodeError, NotImplementedError, AssertionError):
        # in grpclib's words: it cannot be decoded, is compressed, or ends before its end; else each would be a
        # traceback of ours, as often as anybody likes
        raise GRPCError(Status.INVALID_ARGUMENT, "the message cannot be read") from None


async def asked(stream: Stream[Any, Any], bytes_max: int = SMALL_BYTES_MAX) -> Any:
    """Return the only message of a request.

    Raises:
        GRPCError: there is none, or it is too large, or none.
    """
    message = await received(stream, bytes_max)
    if message is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the request is empty")
    return message


def _bound(stream: Stream[Any, Any], bytes_max: int) -> None:
    """Refuse messages that announce themselves as too large, before any of their bytes are kept.

    grpclib (0.4.9) has no limit of its own: it reads as many bytes as a message's head says.
    """
    inner = stream._stream  # noqa: SLF001 - see above; a test says when it moves
    if getattr(inner, "bounded", False):
        return
    read = inner.recv_data

    async def recv_data(size: int) -> bytes:
        if size > bytes_max:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes; the most is {bytes_max}")
        return await read(size)

    inner.recv_data = recv_data  # type: ignore[method-assign]  # there is no other way in
    inner.bounded = True  # type: ignore[attr-defined]  # likewise
