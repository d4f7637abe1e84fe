"""The keyring: one key per secret object, in a store of its own, so that destroying the key destroys the content.

The engine seals with AEAD before it submits (`skep.runtime.sealing`); the log holds only ciphertext and key ids.
"""

from typing import Protocol


class KeyringError(Exception):
    """The keyring cannot be read or written; the message says why. Never holds key material."""


class Keyring(Protocol):
    """Durable storage of 32-byte keys by name."""

    async def create(self, key_id: str) -> bytes:
        """Make, keep durably, and return a new random key; return the kept one if `key_id` exists."""
        ...

    async def get(self, key_id: str) -> bytes | None:
        """Return the key, or None if there is none (any more)."""
        ...

    async def destroy(self, key_id: str) -> None:
        """Forget the key so that nothing on the disk holds it. Idempotent."""
        ...

    async def key_ids(self) -> list[str]:
        """Return the names of all keys kept, sorted."""
        ...

    async def aclose(self) -> None:
        """Close. Idempotent."""
        ...
