"""Docker Engines for the tests of this folder. Where there can be none, these are skipped and say why."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.machine import Machine, sweep
from tests.engines.rig import Rig, prepared
from tests.engines.surroundings import missing
from tests.engines.swarm import Begin, Swarm


@pytest.fixture(scope="session")
def able() -> None:
    """Skip if no engines can be started here."""
    if sentence := missing():
        pytest.skip(sentence)
    sweep()


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path, since sockets need one."""
    home = Path(tempfile.mkdtemp(prefix="skep-", dir="/tmp"))
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def packed_images(able: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The images of these tests, made by the first engine of a run."""
    del able
    return prepared(tmp_path_factory.mktemp("first"))


@pytest.fixture
def rig(packed_images: bytes, home: Path) -> Iterator[Rig]:
    """A network, on which a test starts machines and engines."""
    with Rig(home, packed_images) as rig:
        yield rig


@pytest.fixture
def swarm_of(rig: Rig, home: Path) -> Iterator[Begin]:
    """What begins the swarm of a test; its end is looked at."""
    begun: list[Swarm] = []

    def begin(workers: int, *, local: bool = False) -> Swarm:
        swarm = Swarm(rig, home, local=local)
        begun.append(swarm)
        swarm.begin(workers)
        return swarm

    yield begin
    for swarm in begun:
        swarm.skep.close()


@pytest.fixture
def machine(able: None) -> Iterator[Machine]:
    """A machine that is connected to nothing."""
    del able
    with Machine("alone") as machine:
        yield machine
