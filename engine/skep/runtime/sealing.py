"""Sealing: what is secret is encrypted before it is submitted, under a key of its own in the keyring.

AES-256-GCM with a random nonce, bound to the key's name; an HMAC-SHA256 under a key derived from the same tells equal
contents. Destroying the key destroys the content, in every copy of the log.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from skep.model.secret import Sealed
from skep.ports.clock import Draw
from skep.ports.keyring import Keyring, KeyringError

_NONCE_BYTES = 12  # what GCM is defined for


async def seal(keyring: Keyring, key_id: str, content: bytes, *, draw: Draw = secrets.token_bytes) -> Sealed:
    """Return `content` sealed under the key `key_id`, which is made if there is none."""
    key = await keyring.create(key_id)
    nonce = draw(_NONCE_BYTES)
    ciphertext = nonce + AESGCM(key).encrypt(nonce, content, key_id.encode())
    return Sealed(key_id, ciphertext, _mac(key, content))


async def unseal(keyring: Keyring, sealed: Sealed) -> bytes:
    """Return the content of `sealed`.

    Raises:
        KeyringError: its key is gone, or does not fit.
    """
    key = await keyring.get(sealed.key_id)
    if key is None:
        raise KeyringError(f"the key {sealed.key_id} is not in the keyring (destroyed, or the keyring is another's)")
    nonce, ciphertext = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, sealed.key_id.encode())
    except InvalidTag:
        raise KeyringError(f"what is sealed under {sealed.key_id} does not fit its key") from None


async def mac_under(keyring: Keyring, sealed: Sealed, content: bytes) -> bytes:
    """Return the HMAC that `content` would have under the key of `sealed`, to be compared with its own."""
    key = await keyring.get(sealed.key_id)
    return _mac(key, content) if key is not None else b"no key"


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(hashlib.sha256(b"skep-mac" + key).digest(), content, "sha256")
