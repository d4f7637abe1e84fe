"""Docker's own client of the swarm of a test."""

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from skep_adapters.pytest_plugin.swarm import Swarm


@pytest.fixture
def client(skep_swarm: Swarm) -> Iterator[Any]:
    client = docker.from_env()
    assert client.ping()
    assert skep_swarm.host.startswith("unix://")
    yield client
    client.close()
