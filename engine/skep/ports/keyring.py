"""The keyring: one key per secret object, in a store of its own, so that destroying the key destroys the content.

The engine seals with AEAD before it submits (`skep.runtime.sealing`); the log holds only ciphertext and key ids.

A keyring can be locked: what is kept is then encrypted under an unlock key that is kept nowhere, and a handle that is
opened anew can do nothing before it is given that. The handle that locks it stays open.
"""

from typing import Protocol


class KeyringError(Exception):
    """The keyring cannot be read or written; the message says why. Never holds key material."""


class KeyringLocked(KeyringError):
    """The keyring is locked, and nobody unlocked this handle."""

    def __init__(self) -> None:
        super().__init__("the keyring is locked: its unlock key is needed")


class WrongUnlockKey(KeyringError):
    """The keyring is locked with another unlock key."""

    def __init__(self) -> None:
        super().__init__("the keyring is locked with another unlock key")


class Keyring(Protocol):
    """Durable storage of 32-byte keys by name. All calls but those about the lock raise `KeyringLocked` behind it."""

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

    async def locked(self) -> bool:
        """Return whether this handle waits for the unlock key."""
        ...

    async def unlock(self, unlock_key: bytes) -> None:
        """Open this handle; what is kept stays locked. Nothing to do where it is not locked.

        Raises:
            WrongUnlockKey: it is locked with another one.
        """
        ...

    async def lock_with(self, unlock_key: bytes | None) -> None:
        """Encrypt all that is kept under `unlock_key`, durably, or under none, and all that will be. All or nothing.

        Nothing on the disk holds a key in plain then. `unlock_key` are random bytes: nobody can guess them. Idempotent.
        """
        ...

    async def aclose(self) -> None:
        """Close. Idempotent."""
        ...
