"""A worker that joins as engines do, and then does what it may not: run on a machine of the rig, as a program.

It prints, as JSON, how each of its calls was answered: the status, and what was said.
"""

import asyncio
import json
import ssl
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from grpclib import GRPCError
from grpclib.client import Channel, UnaryUnaryMethod
from skep.runtime.certificates import key_pem, new_key
from skep_adapters.swarmkit.wire import (
    ca_grpc,
    ca_pb2,
    dispatcher_grpc,
    dispatcher_pb2,
    logbroker_grpc,
    logbroker_pb2,
    types_pb2,
)

#: The first one answers within milliseconds.
PATIENCE_S = 10.0


def context(certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(["h2"])
    if certificate:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(certificate + key)
            made.load_cert_chain(file.name)
    return made


async def joined(host: str, port: int, token: str) -> tuple[str, ssl.SSLContext]:
    """Return the id of a node that was made for the token, and what it connects with."""
    key = new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    csr = request.public_bytes(serialization.Encoding.PEM)
    async with Channel(host, port, ssl=context()) as channel:
        authority = ca_grpc.NodeCAStub(channel)
        issued = await authority.IssueNodeCertificate(ca_pb2.IssueNodeCertificateRequest(csr=csr, token=token))
        asked = ca_pb2.NodeCertificateStatusRequest(node_id=issued.node_id)
        status = await authority.NodeCertificateStatus(asked)
    return issued.node_id, context(status.certificate.certificate, key_pem(key))


async def answer(call: Awaitable[Any]) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await call
    except GRPCError as error:
        return [error.status.name, error.message or ""]
    return ["OK", ""]


def failed(task_id: str, session_id: str) -> dispatcher_pb2.UpdateTaskStatusRequest:
    status = types_pb2.TaskStatus(state=types_pb2.FAILED, err="says the impostor")
    update = dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id=task_id, status=status)
    return dispatcher_pb2.UpdateTaskStatusRequest(session_id=session_id, updates=[update])


async def main(addr: str, token: str, task_id: str, node_id: str) -> dict[str, list[str]]:
    host, _, port = addr.rpartition(":")
    found = {}
    async with Channel(host, int(port), ssl=context()) as channel:
        nobody = dispatcher_grpc.DispatcherStub(channel)
        found["a report of nobody"] = await answer(nobody.UpdateTaskStatus(failed(task_id, "")))
        request = ca_pb2.IssueNodeCertificateRequest(csr=b"", token=token)
        found["a request that is none"] = await answer(ca_grpc.NodeCAStub(channel).IssueNodeCertificate(request))
    _, mine = await joined(host, int(port), token)
    async with Channel(host, int(port), ssl=mine) as channel:
        dispatcher = dispatcher_grpc.DispatcherStub(channel)
        async with dispatcher.Session.open() as session:
            about = types_pb2.NodeDescription(hostname="impostor")
            await session.send_message(dispatcher_pb2.SessionRequest(description=about), end=True)
            message = await session.recv_message()
            assert message is not None
            mine_id = message.session_id
            found["a report of another node's task"] = await answer(
                dispatcher.UpdateTaskStatus(failed(task_id, mine_id))
            )
            found["a report of a task that nobody knows"] = await answer(
                dispatcher.UpdateTaskStatus(failed("nobody-knows", mine_id))
            )
            found["a heartbeat of another session"] = await answer(
                dispatcher.Heartbeat(dispatcher_pb2.HeartbeatRequest(session_id="another"))
            )
            found["a method that is not offered"] = await answer(
                called(channel, "/docker.swarmkit.v1.RaftMembership/Join")
            )
            found["the key that unlocks managers"] = await answer(
                ca_grpc.CAStub(channel).GetUnlockKey(ca_pb2.GetUnlockKeyRequest())
            )
            lines = logbroker_pb2.LogMessage(
                context=logbroker_pb2.LogContext(task_id=task_id, node_id=node_id), data=b"says the impostor\n"
            )
            found["lines that nobody asked for"] = await answer(published(channel, lines))
            await session.cancel()
    return found


async def published(channel: Channel, line: logbroker_pb2.LogMessage) -> None:
    async with logbroker_grpc.LogBrokerStub(channel).PublishLogs.open() as stream:
        message = logbroker_pb2.PublishLogsMessage(subscription_id="none", messages=[line])
        await stream.send_message(message, end=True)
        await stream.recv_message()


async def called(channel: Channel, path: str) -> None:
    empty = types_pb2.IssuanceStatus
    await UnaryUnaryMethod(channel, path, empty, empty)(empty())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
