"""The contract of `Keyring`, as tests that every implementation passes; used as `skep.testing.log_suite` is."""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.ports.keyring import Keyring, KeyringLocked, WrongUnlockKey
from skep.testing.expectation import raising

KEY_BYTES = 32

#: An unlock key, and another one.
FIRST, SECOND = b"1" * KEY_BYTES, b"2" * KEY_BYTES


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

    async def test_a_locked_keyring_opens_with_its_unlock_key_only(self) -> None:
        """The handle that locked it stays open; one that is opened anew can do nothing before."""
        async with self.opened() as keyring:
            key = await keyring.create("a")
            await keyring.lock_with(FIRST)
            await keyring.lock_with(FIRST)
            assert not await keyring.locked()
            assert await keyring.get("a") == key
            later = await keyring.create("b")
        async with self.opened() as keyring:
            assert await keyring.locked()
            for call in (keyring.create, keyring.get, keyring.destroy):
                with raising(KeyringLocked):
                    await call("a")
            with raising(KeyringLocked):
                await keyring.key_ids()
            with raising(KeyringLocked):
                await keyring.lock_with(None)
            with raising(WrongUnlockKey):
                await keyring.unlock(SECOND)
            assert await keyring.locked()
            await keyring.unlock(FIRST)
            assert not await keyring.locked()
            assert [await keyring.get("a"), await keyring.get("b")] == [key, later]
            await keyring.destroy("b")
            assert await keyring.key_ids() == ["a"]

    async def test_a_keyring_is_locked_with_another_unlock_key_or_with_none_any_more(self) -> None:
        """The former one opens it no more."""
        async with self.opened() as keyring:
            key = await keyring.create("a")
            await keyring.lock_with(FIRST)
            await keyring.lock_with(SECOND)
        async with self.opened() as keyring:
            with raising(WrongUnlockKey):
                await keyring.unlock(FIRST)
            await keyring.unlock(SECOND)
            await keyring.lock_with(None)
            await keyring.lock_with(None)
        async with self.opened() as keyring:
            assert not await keyring.locked()
            await keyring.unlock(FIRST)
            assert await keyring.get("a") == key

    async def test_an_empty_keyring_can_be_locked(self) -> None:
        """The unlock key is known by itself, not by what it opens."""
        async with self.opened() as keyring:
            await keyring.lock_with(FIRST)
        async with self.opened() as keyring:
            assert await keyring.locked()
            with raising(WrongUnlockKey):
                await keyring.unlock(SECOND)

    async def test_closing_twice_is_closing_once(self) -> None:
        """Even if never used."""
        keyring = self.another()
        await keyring.aclose()
        await keyring.aclose()
