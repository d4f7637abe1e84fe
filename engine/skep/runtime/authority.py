"""The swarm's root certificate, its join tokens and its unlock key, in SwarmKit's forms.

The root is of P-256, named swarm-ca, and lives for 20 years.
"""

import base64
import datetime as dt
import hashlib
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from msgspec import Struct

from skep.model.ids import NANOSECONDS, Instant
from skep.ports.clock import Draw
from skep.runtime.certificates import issuer_of, key_pem, key_usage, new_key, new_serial, pem_of
from skep.runtime.errors import MalformedUnlockKey
from skep.runtime.sources import base36

ROOT_YEARS = 20
_DIGEST_DIGITS = 50
_SECRET_DIGITS = 25
_SECRET_BYTES = 16

_UNLOCK = "SWMKEY-1-"

#: One of ours has 52 characters.
UNLOCK_CHARS_MAX = 200


class Root(Struct, frozen=True):
    """A new root: `certificate` and `key` are PEM, the other two base64 of DER."""

    certificate: str
    key: bytes
    issuer_subject: str
    issuer_public_key: str

    def __repr__(self) -> str:
        """Hide the key."""
        return "Root(...)"


def new_root(now: Instant, *, draw: Draw = secrets.token_bytes) -> Root:
    """Return a new self-signed root, valid from an hour before `now`."""
    key = new_key(draw)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-ca")])
    start = dt.datetime.fromtimestamp(now // NANOSECONDS, dt.UTC) - dt.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(new_serial(draw))
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * ROOT_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(leaf=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    pem = pem_of(certificate)
    issuer_subject, issuer_public_key = issuer_of(pem)
    return Root(pem, key_pem(key), issuer_subject, issuer_public_key)


def new_token(root_certificate: str, *, draw: Draw = secrets.token_bytes) -> str:
    """Return a join token: the root's digest, by which a joiner knows the swarm, and a secret of 128 bits."""
    digest = int.from_bytes(hashlib.sha256(root_certificate.encode()).digest(), "big")
    secret = int.from_bytes(draw(_SECRET_BYTES), "big")
    return f"SWMTKN-1-{base36(digest).rjust(_DIGEST_DIGITS, '0')}-{base36(secret).rjust(_SECRET_DIGITS, '0')}"


def new_unlock_key(*, draw: Draw = secrets.token_bytes) -> str:
    """Return an unlock key in SwarmKit's form: 32 random bytes, base64 without padding."""
    return _UNLOCK + base64.b64encode(draw(32)).decode().rstrip("=")


def parse_unlock_key(text: str) -> bytes:
    """Return the bytes of an unlock key.

    Raises:
        MalformedUnlockKey: it is none.
    """
    digits = text.removeprefix(_UNLOCK)
    if digits == text or len(text) > UNLOCK_CHARS_MAX or "=" in digits:
        raise MalformedUnlockKey
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise MalformedUnlockKey from None
