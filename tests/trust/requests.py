"""What an engine sends when it wants a certificate."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from skep.runtime.certificates import new_key


def csr() -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(new_key(), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)
