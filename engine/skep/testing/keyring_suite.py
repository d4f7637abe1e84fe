"""The contract of `Keyring`, as tests that every implementation passes; used as `skep.testing.log_suite` is."""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.ports.keyring import Keyring

KEY_BYTES = 32


class KeyringSuite:
    """What `skep.ports.keyring` guarantees."""

    def another(self) -> Keyring:
        """Return another handle on this test's one keyring; the first one finds it empty."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Keyring]:
        """Open a handle for the length of the block."""
        keyring = self.another()
        try:
            yield keyring
        finally:
            await keyring.aclose()

    async def test_a_key_is_made_once_and_kept(self) -> None:
        """The same after reopening."""
        async with self.opened() as keyring:
            key = await keyring.create("a")
            assert len(key) == KEY_BYTES
            assert await keyring.create("a") == key
            assert await keyring.create("b") != key
        async with self.opened() as keyring:
            assert await keyring.get("a") == key

    async def test_a_destroyed_key_is_gone(self) -> None:
        """For every handle; one made under its name is another."""
        async with self.opened() as keyring, self.opened() as other:
            key = await keyring.create("a")
            kept = await keyring.create("b")
            await keyring.destroy("a")
            await keyring.destroy("a")
            assert await other.get("a") is None
            assert await other.get("b") == kept
            assert await keyring.create("a") != key

    async def test_a_key_that_never_was_is_none(self) -> None:
        """And can be destroyed."""
        async with self.opened() as keyring:
            assert await keyring.get("nobody") is None
            await keyring.destroy("nobody")
            assert await keyring.key_ids() == []

    async def test_names_come_sorted(self) -> None:
        """By code point."""
        async with self.opened() as keyring:
            for name in ("b", "A", "a/1", "\u00e9", "a"):
                await keyring.create(name)
            assert await keyring.key_ids() == ["A", "a", "a/1", "b", "\u00e9"]

    async def test_closing_twice_is_closing_once(self) -> None:
        """Even if never used."""
        keyring = self.another()
        await keyring.aclose()
        await keyring.aclose()
