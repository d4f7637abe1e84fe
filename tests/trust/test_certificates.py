"""Certificates of nodes: TLS itself says whom they let in, also while the root is replaced."""

import asyncio
import base64
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from skep.model.ids import ClusterId, Instant, NodeId
from skep.runtime.authority import Root, new_root
from skep.runtime.certificates import (
    CSR_BYTES_MAX,
    CertificateError,
    Identity,
    NodeRole,
    Signer,
    identity_of,
    issuer_of,
    key_pem,
    new_key,
    requested_key,
)

NOW = Instant(int(dt.datetime.now(dt.UTC).timestamp()) * 1_000_000_000)
DAY_NS = 24 * 3600 * 1_000_000_000

MANAGER = Identity(ClusterId("cluster"), NodeId("manager"), NodeRole.MANAGER)
WORKER = Identity(ClusterId("cluster"), NodeId("worker"), NodeRole.WORKER)


def signer(root: Root) -> Signer:
    return Signer(root.certificate, root.key)


def write(directory: Path, by: Signer, who: Identity, valid_ns: int = DAY_NS) -> tuple[Path, Path]:
    """Issue a certificate; return the files of its chain and key."""
    key = new_key()
    chain, private = directory / f"{who.node_id}.pem", directory / f"{who.node_id}.key"
    chain.write_text(by.issue(who, key.public_key(), now=NOW, valid_ns=valid_ns))
    private.write_bytes(key_pem(key))
    return chain, private


async def met(directory: Path, *, server: Signer, worker: Signer, trusted: str, valid_ns: int = DAY_NS) -> Identity:
    """Let a worker that trusts `trusted` meet a manager, both by TLS; return whom the manager sees."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*write(directory, server, MANAGER))
    serving.load_verify_locations(cadata=trusted)
    serving.verify_mode = ssl.CERT_OPTIONAL
    asking = ssl.create_default_context(cadata=trusted)
    asking.load_cert_chain(*write(directory, worker, WORKER, valid_ns))

    def served(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = identity_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.write(f"{who.cluster_id} {who.node_id} {who.role}".encode())
        writer.close()

    listening = await asyncio.start_server(served, "127.0.0.1", 0, ssl=serving)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=asking, server_hostname="swarm-manager")
        try:
            answer = await reader.read()
        finally:
            writer.close()
    if not answer:
        raise ConnectionError("it was not let in")
    cluster_id, node_id, role = answer.decode().split()
    return Identity(ClusterId(cluster_id), NodeId(node_id), NodeRole(role))


async def test_a_node_is_who_its_certificate_says(tmp_path: Path) -> None:
    root = new_root(NOW)
    assert await met(tmp_path, server=signer(root), worker=signer(root), trusted=root.certificate) == WORKER


async def test_a_certificate_of_another_swarm_is_not_let_in(tmp_path: Path) -> None:
    root, other = new_root(NOW), new_root(NOW)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await met(tmp_path, server=signer(root), worker=signer(other), trusted=root.certificate)


async def test_a_certificate_that_has_run_out_is_not_let_in(tmp_path: Path) -> None:
    root = new_root(NOW)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await met(tmp_path, server=signer(root), worker=signer(root), trusted=root.certificate, valid_ns=-1_000_000_000)


@pytest.mark.parametrize("knows", ["old", "new"])
async def test_while_the_root_is_replaced_whoever_knows_either_root_trusts_the_new_certificates(
    knows: str, tmp_path: Path
) -> None:
    old, new = new_root(NOW), new_root(NOW)
    crossed = Signer(new.certificate, new.key, signer(old).cross_sign(new.certificate))
    trusted = old.certificate if knows == "old" else new.certificate
    assert await met(tmp_path, server=crossed, worker=crossed, trusted=trusted) == WORKER


def test_the_issuer_is_told_as_the_root_was_made() -> None:
    root = new_root(NOW)
    assert issuer_of(root.certificate) == (root.issuer_subject, root.issuer_public_key)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def foreign(csr: bytes, oid: bytes) -> bytes:
    """Return a request whose kind of key is one that nobody knows."""
    der = x509.load_pem_x509_csr(csr).public_bytes(serialization.Encoding.DER)
    assert oid in der
    body = base64.encodebytes(der.replace(oid, oid[:-1] + b"\x7d"))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"


def test_of_a_request_only_the_key_counts() -> None:
    key = new_key()
    assert requested_key(request(key)).public_numbers() == key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("csr", "why"),
    [
        (b"nothing", "no request"),
        (b"x" * (CSR_BYTES_MAX + 1), "may have 8192"),
        (request(rsa.generate_private_key(65537, 2048)), "not on the curve P-256"),
        (request(ec.generate_private_key(ec.SECP384R1())), "not on the curve P-256"),
        (foreign(request(new_key()), b"\x2a\x86\x48\xce\x3d\x02\x01"), "no request"),
    ],
)
def test_a_request_that_cannot_be_used_is_refused(csr: bytes, why: str) -> None:
    with pytest.raises(CertificateError, match=why):
        requested_key(csr)


def test_a_certificate_that_names_no_node_is_refused() -> None:
    root = x509.load_pem_x509_certificate(new_root(NOW).certificate.encode())
    with pytest.raises(CertificateError, match="not that of a node"):
        identity_of(root.public_bytes(serialization.Encoding.DER))


def test_a_key_is_in_no_repr() -> None:
    root = new_root(NOW)
    assert "PRIVATE" not in repr(signer(root))
