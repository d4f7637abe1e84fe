"""The plugin in sessions of other people: what it costs, what it says of mistakes, and the programs of its guide."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"
PROGRAM = re.compile(r"^```python\n(?P<program>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("""
        [pytest]
        addopts = --strict-markers
        filterwarnings = error
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
    """)
    return pytester


def test_a_session_without_a_swarm_imports_nothing_of_skep(session: pytest.Pytester) -> None:
    session.makepyfile("""
        import sys

        def test_it():
            loaded = sorted(name for name in sys.modules if name.split(".")[0] in ("skep", "skep_adapters"))
            assert loaded == [
                "skep_adapters", "skep_adapters.pytest_plugin", "skep_adapters.pytest_plugin.plugin",
            ]
            assert "aiohttp" not in sys.modules
    """)
    session.runpytest_subprocess("-p", "no:anyio").assert_outcomes(passed=1)


def test_the_environment_leads_to_the_swarm_and_is_put_back(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    session.makepyfile("""
        import os
        import pathlib
        import docker

        seen = []

        def test_inside(skep_swarm):
            seen.append(skep_swarm.host)
            assert os.environ["DOCKER_HOST"] == skep_swarm.host
            client = docker.from_env()
            assert client.ping()
            client.close()

        def test_outside():
            assert os.environ["DOCKER_HOST"] == "tcp://elsewhere:2376"
            assert os.environ["DOCKER_TLS_VERIFY"] == "1"
            assert not pathlib.Path(seen[0].removeprefix("unix://")).exists()
    """)
    session.runpytest_subprocess().assert_outcomes(passed=2)


def test_one_client_serves_a_whole_session(session: pytest.Pytester) -> None:
    session.makepyfile("""
        import docker
        import pytest

        @pytest.fixture(scope="session")
        def clients():
            clients = []
            yield clients
            for client in clients:
                client.close()

        @pytest.mark.parametrize("number", range(20))
        def test_it(skep_swarm, clients, number):
            if not clients:
                clients.append(docker.from_env())
            client = clients[0]
            assert client.services.list() == []
            client.services.create("app", name="web")
    """)
    session.runpytest_subprocess().assert_outcomes(passed=20)


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("node=3", "the marker skep has no option 'node': there are nodes, executor"),
        ("3", "the marker skep takes options by name only"),
        ("nodes=0", "nodes is 0, and has to be a number from 1 to 1000"),
        ("executor='docker'", "executor is 'docker', and has to be 'simulated', 'process', or what makes one"),
        ("executor='process', time='virtual'", "processes live in real time"),
        ("time='fast'", "time is 'fast', and has to be 'virtual' or 'real'"),
        ("images={'app': ['sleep']}", "image 'app' has to be a Behaviour, or a coroutine function"),
        (
            "executor='process', images={'app': 'sleep 1'}",
            "image 'app' has to be a list of words, or a coroutine function",
        ),
    ],
)
def test_a_wrong_marker_is_told_in_a_sentence(session: pytest.Pytester, marker: str, says: str) -> None:
    session.makepyfile(f"""
        import pytest

        @pytest.mark.skep({marker})
        def test_it(skep_swarm):
            pass
    """)
    ran = session.runpytest_subprocess()
    ran.assert_outcomes(errors=1)
    assert says in ran.stdout.str()
    assert "Traceback" not in ran.stdout.str()


def test_the_marker_is_listed(session: pytest.Pytester) -> None:
    session.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.skep(nodes=1,*"])


def test_the_tests_in_the_guide_pass(session: pytest.Pytester) -> None:
    programs = [found["program"] for found in PROGRAM.finditer(GUIDE.read_text())]
    tests = sum(len(re.findall(r"^(?:async )?def test_", program, re.MULTILINE)) for program in programs)
    assert tests >= 4
    for number, program in enumerate(programs):
        session.path.joinpath(f"test_guide_{number}.py").write_text(program)
    session.runpytest_subprocess().assert_outcomes(passed=tests)
