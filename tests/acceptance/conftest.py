"""A daemon for each test, whose end is looked at."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path, since sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="skep-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A daemon that was not started yet."""
    daemon = Daemon(home)
    try:
        yield daemon
        daemon.close()
    finally:
        daemon.discard()


@pytest.fixture
def docker() -> None:
    """What a test asks for that drives the docker client."""
    if shutil.which("docker") is None:
        pytest.skip("no docker client on PATH")
