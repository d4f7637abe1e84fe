"""The tests of coroutines run in virtual time."""

from collections.abc import Callable

from skep.testing.virtual import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualLoop]]:
    return {"virtual": VirtualLoop}
