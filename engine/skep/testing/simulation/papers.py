"""The papers of a machine: its key, its certificate, and the roots that it trusts; looked at as TLS does.

Of the roots themselves no dates are looked at: the clock of a story is put back further than a root is backdated.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization

from skep.model.ids import NANOSECONDS, Instant, Position
from skep.model.node import TlsInfo
from skep.ports.clock import Draw
from skep.runtime.certificates import issuer_of, new_key, pem_of

#: An engine renews its certificate at some instant after half of its time.
RENEWED_AFTER = 0.5


class Papers:
    """`known` is the position up to which the swarm had come when they were given: a disk may lose that."""

    def __init__(self, draw: Draw) -> None:
        self._key = new_key(draw)
        self.known = Position(0)
        self.roots = ""
        self._chain: list[x509.Certificate] = []
        self._dates = (0.0, 0.0)
        #: how many certificates it has had
        self.serial = 0

    def request(self) -> bytes:
        """Return a request for a certificate."""
        made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def take(self, chain: str, known: Position) -> None:
        """Have another certificate."""
        self._chain = x509.load_pem_x509_certificates(chain.encode())
        leaf = self._chain[0]
        self._dates = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        self.known = known
        self.serial += 1

    def trust(self, roots: str, known: Position) -> None:
        """Trust these roots, and no others."""
        if roots != self.roots:
            self.roots, self.known = roots, known

    def valid(self, now: Instant) -> bool:
        """Whether the certificate is one at this instant."""
        return self._dates[0] <= now / NANOSECONDS <= self._dates[1]

    def old(self, now: Instant) -> bool:
        """Whether it is time to renew it."""
        first, last = self._dates
        return now / NANOSECONDS > first + (last - first) * RENEWED_AFTER

    def trusted_by(self, roots: str) -> bool:
        """Whether who trusts these roots trusts the certificate."""
        return is_trusted(self._chain, roots)

    @property
    def told(self) -> TlsInfo:
        """What an engine says of them."""
        leaf, *others = self._chain
        issuers = [*others, *x509.load_pem_x509_certificates(self.roots.encode())]
        issuer = next(issuer for issuer in issuers if _signed(leaf, issuer))
        return TlsInfo(self.roots, *issuer_of(pem_of(issuer)))


def is_trusted(chain: list[x509.Certificate], roots: str) -> bool:
    """Whether a chain leads from its leaf to one of the roots (PEM), through as many others as it has."""
    known = x509.load_pem_x509_certificates(roots.encode())
    reached, others = chain[:1], chain[1:]
    while reached:
        if any(_signed(one, root) for one in reached for root in known):
            return True
        further = [other for other in others if any(_signed(one, other) for one in reached)]
        others = [other for other in others if other not in further]
        reached = further
    return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, InvalidSignature):
        return False
    return True
