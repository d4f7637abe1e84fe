"""What pytest calls. Sessions in which no test asks for a swarm pay for this file only."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from skep_adapters.pytest_plugin.swarm import Swarm
    from skep_adapters.pytest_plugin.thread import EngineThread

MARKER = (
    "skep(nodes=1, executor='simulated', time='virtual', images={}, init=True): what the swarm of `skep_swarm` is like"
)

#: What would lead a client of Docker's elsewhere.
ELSEWHERE = ("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION")


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture(scope="session")
def _skep_thread() -> Iterator["EngineThread"]:
    """Keep one thread for the engines of all tests, and one socket."""
    from skep_adapters.pytest_plugin.thread import EngineThread  # noqa: PLC0415 - costs only those who ask for it

    with EngineThread.running() as thread:
        yield thread


@pytest.fixture
def skep_swarm(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _skep_thread: "EngineThread"
) -> Iterator["Swarm"]:
    """Give a new swarm, which `DOCKER_HOST` leads to; the marker `skep` says what it is like."""
    from skep_adapters.pytest_plugin.options import OptionError, read_options  # noqa: PLC0415 - likewise
    from skep_adapters.pytest_plugin.swarm import Swarm  # noqa: PLC0415 - likewise

    try:
        options = read_options(reversed([*request.node.iter_markers("skep")]))
    except OptionError as error:
        pytest.fail(str(error), pytrace=False)
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", _skep_thread.host)
    with _skep_thread.living(options) as life:
        yield Swarm(_skep_thread, life)
