"""The lock of a keyring: each key is encrypted under one that is derived from the unlock key, which is kept nowhere.

AES-256-GCM with a random nonce, bound to the key's name; HKDF-SHA256 with a random salt for each locking. A slow
derivation would gain nothing: the unlock key is 32 random bytes. A proof, which is nothing sealed under the same key,
tells whether an unlock key is the right one even where no key is kept.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT_BYTES = 16
KEY_BYTES = 32
_NONCE_BYTES = 12  # what GCM is defined for
_PURPOSE = b"skep keyring lock 1"

#: The name under which the proof is sealed; keys have names of their own.
_PROOF = ""


class Lock:
    """What seals and opens the keys of a locked keyring. It lives in memory only."""

    def __init__(self, unlock_key: bytes, salt: bytes | None = None) -> None:
        self.salt = salt or secrets.token_bytes(SALT_BYTES)
        self._cipher = AESGCM(HKDF(SHA256(), KEY_BYTES, self.salt, _PURPOSE).derive(unlock_key))

    def proof(self) -> bytes:
        """Return what `proves` knows again."""
        return self.closed(_PROOF, b"")

    def proves(self, proof: bytes) -> bool:
        """Return whether a proof was made with the same unlock key."""
        return self.opened(_PROOF, proof) is not None

    def closed(self, key_id: str, key: bytes) -> bytes:
        """Return a key as it is kept."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, key_id.encode())

    def opened(self, key_id: str, kept: bytes) -> bytes | None:
        """Return a key in plain; None if it was not closed by this lock."""
        try:
            return self._cipher.decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], key_id.encode())
        except (InvalidTag, ValueError):
            return None
