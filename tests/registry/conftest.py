"""The harness is a module of this folder; one registry serves all tests that need no login."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from registry_harness import REGISTRY, Shelf, registry

WHY_NOT = "docker-registry is not installed (Debian: docker-registry)"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Run a registry; a way to put images into it."""
    if REGISTRY is None:
        pytest.skip(WHY_NOT)
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield Shelf(host)


@pytest.fixture
def installed() -> None:
    """Need a registry of the test's own."""
    if REGISTRY is None:
        pytest.skip(WHY_NOT)
