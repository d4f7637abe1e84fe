"""Certificates of nodes, in SwarmKit's forms: who a node is stands in the subject of its certificate.

O is the swarm's id, OU the role, CN the node's id. Keys are P-256, and of a request for a certificate only the public
key counts. While the swarm's root is replaced, a leaf carries the new root signed by the old one, so that whoever knows
either of them trusts it.
"""

import base64
import datetime as dt
import enum
import secrets

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from skep.model.ids import NANOSECONDS, ClusterId, Instant, NodeId
from skep.ports.clock import Draw

#: What the clocks of two machines may differ by.
BACKDATED = dt.timedelta(hours=1)

#: A request of an unmodified engine has about 350 bytes.
CSR_BYTES_MAX = 8 * 1024

#: So many private keys there are on P-256, and one more.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY_BYTES = 40
_SERIAL_BYTES = 20

#: The name in the certificate of whoever answers for the swarm: its authority and its managers.
CA_NAME, MANAGER_NAME, WORKER_NAME = "swarm-ca", "swarm-manager", "swarm-worker"


class CertificateError(ValueError):
    """A certificate, or a request for one, cannot be used; the message says why."""


class NodeRole(enum.StrEnum):
    """What a node's certificate says that it is: its OU."""

    WORKER = WORKER_NAME
    MANAGER = MANAGER_NAME


class Identity(Struct, frozen=True):
    """Who stands in a certificate."""

    cluster_id: ClusterId
    node_id: NodeId
    role: NodeRole


class Signer(Struct, frozen=True):
    """A root that signs. `intermediate` is its certificate signed by the root before it, while that one is replaced."""

    certificate: str
    key: bytes
    intermediate: str = ""

    def __repr__(self) -> str:
        """Hide the key."""
        return "Signer(...)"

    def issue(self, identity: Identity, public_key: ec.EllipticCurvePublicKey, *, now: Instant, valid_ns: int) -> str:
        """Return a chain in PEM for `identity`, valid from an hour ago until `valid_ns` after `now`."""
        root = x509.load_pem_x509_certificate(self.certificate.encode())
        start = dt.datetime.fromtimestamp(now // NANOSECONDS, dt.UTC)
        names = [identity.role.value, identity.node_id]
        if identity.role is NodeRole.MANAGER:
            names.append(CA_NAME)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(_subject(identity))
            .issuer_name(root.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - BACKDATED)
            .not_valid_after(start + dt.timedelta(microseconds=valid_ns // 1000))
            .add_extension(key_usage(leaf=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_authority(root), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .sign(_private(self.key), hashes.SHA256())
        )
        return pem_of(leaf) + self.intermediate

    def cross_sign(self, other: str, *, draw: Draw = secrets.token_bytes) -> str:
        """Return the root `other` (PEM) as an intermediate of this one."""
        root = x509.load_pem_x509_certificate(self.certificate.encode())
        new = x509.load_pem_x509_certificate(other.encode())
        crossed = (
            x509.CertificateBuilder()
            .subject_name(new.subject)
            .issuer_name(root.subject)
            .public_key(new.public_key())
            .serial_number(new_serial(draw))
            .not_valid_before(new.not_valid_before_utc)
            .not_valid_after(new.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage(leaf=False), critical=True)
            .add_extension(_key_id(new), critical=False)
            .add_extension(_authority(root), critical=False)
            .sign(_private(self.key), hashes.SHA256(), ecdsa_deterministic=True)
        )
        return pem_of(crossed)


def requested_key(csr: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a request in PEM.

    Raises:
        CertificateError: it is none, is not signed by its own key, or its key is not on P-256.
    """
    if len(csr) > CSR_BYTES_MAX:
        raise CertificateError(f"the request has {len(csr)} bytes, and may have {CSR_BYTES_MAX}")
    try:
        request = x509.load_pem_x509_csr(csr)
        key = request.public_key()
        # with a key of another kind it may take long to look at the signature
        fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        signed = fits and request.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CertificateError(f"this is no request for a certificate: {error}") from None
    if not fits or not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateError("the key of the request is not on the curve P-256")
    if not signed:
        raise CertificateError("the request is not signed by its own key")
    return key


def identity_of(certificate: bytes) -> Identity:
    """Return who stands in a certificate (DER). That it is trusted is for TLS to say.

    Raises:
        CertificateError: its subject is not that of a node.
    """
    try:
        subject = x509.load_der_x509_certificate(certificate).subject
        (cluster_id,), (role,), (node_id,) = (
            [str(name.value) for name in subject.get_attributes_for_oid(oid)]
            for oid in (NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)
        )
        return Identity(ClusterId(cluster_id), NodeId(node_id), NodeRole(role))
    except ValueError:
        raise CertificateError("the certificate is not that of a node") from None


def issuer_of(certificate: str) -> tuple[str, str]:
    """Return subject and public key of a root (PEM), as `TlsInfo` has them: base64 of DER."""
    root = x509.load_pem_x509_certificate(certificate.encode())
    public = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(root.subject.public_bytes()).decode(), base64.b64encode(public).decode()


def new_key(draw: Draw = secrets.token_bytes) -> ec.EllipticCurvePrivateKey:
    """Return a new key of a node, or of a root: a number of eight bytes more than the curve's, as FIPS 186-5 has it."""
    number = int.from_bytes(draw(_KEY_BYTES), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def new_serial(draw: Draw = secrets.token_bytes) -> int:
    """Return a serial number of at most 159 bits, which is what a certificate may have."""
    return (int.from_bytes(draw(_SERIAL_BYTES), "big") >> 1) or 1


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, in plain."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_usage(*, leaf: bool) -> x509.KeyUsage:
    """Return what the key of a leaf, or of a root, is for."""
    return x509.KeyUsage(
        digital_signature=leaf,
        content_commitment=False,
        key_encipherment=leaf,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not leaf,
        crl_sign=not leaf,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(identity: Identity) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, identity.role.value),
            x509.NameAttribute(NameOID.COMMON_NAME, identity.node_id),
        ]
    )


def _key_id(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value


def _authority(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(root))


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the root's key is not on an elliptic curve")
    return key
