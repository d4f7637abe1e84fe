"""What the tests of the command share: the real daemon in a process of its own, and the real docker client."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog

T = TypeVar("T")

SKEP = (sys.executable, "-m", "skep_adapters.cli.main")

#: Several daemons run on one machine: each lets workers in at a port of its own.
APART = ("--listen-addr", "127.0.0.1:0")

#: For whatever a busy machine needs; nothing here waits longer than it takes.
PATIENCE_S = 60.0

TICKING = ("sh", "-c", "while true; do echo tick; sleep 1; done")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Leave no log of a program behind that a test ran in this process: what it writes to is closed afterwards."""
    yield
    structlog.reset_defaults()


def eventually(ask: Callable[[], T], what: str) -> T:
    """Return the first true answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"it did not come to this in time: {what}"
        time.sleep(0.05)
    return answer


def skep(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    words = [*SKEP, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **options)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence in which a command failed."""
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 1, done
    assert len(sentences) == 1, done.stderr
    assert sentences[0].startswith("skep: ")
    return sentences[0]


class Daemon:
    """`skep up` on one data directory; may be started again after it ended."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "d"
        self.socket = self.data / "skep.sock"
        self.errors = home / "err"
        self.greeting = ""
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @staticmethod
    def _executor(arguments: Sequence[str]) -> tuple[str, ...]:
        """Return what keeps a daemon from taking the Docker Engine of this machine."""
        return () if "--executor" in arguments else ("--executor", "process")

    def start(self, *arguments: str) -> None:
        """Start it, and return when it said what to type next."""
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                [*SKEP, "up", "--data", str(self.data), *APART, *self._executor(arguments), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | self.environment,
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(3)]
        self.greeting = "".join(lines)
        assert lines[2].startswith("docker "), (lines, self.errors.read_text())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; return its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Return its exit code once it ended."""
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def docker(self, *words: str, check: bool = True) -> str:
        """Return what the docker client prints."""
        binary = shutil.which("docker")
        assert binary is not None
        done = subprocess.run(
            [binary, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "DOCKER_HOST": f"unix://{self.socket}"},
        )
        assert not check or done.returncode == 0, (words, done, self.errors.read_text())
        return done.stdout + ("" if check else done.stderr)

    def create(self, name: str, *command: str, replicas: int = 3) -> None:
        """Create a service whose processes `tasks` finds again."""
        variable = ("--env", f"SKEP_TEST_HOME={self.home}")
        options = ("--detach", "--no-resolve-image", "--name", name, "--replicas", str(replicas), *variable)
        self.docker("service", "create", *options, "host", *command)

    def rows(self, *words: str) -> list[dict[str, str]]:
        """Return what the docker client lists, by column."""
        return [json.loads(line) for line in self.docker(*words, "--format", "json").splitlines()]

    def runs(self, name: str, replicas: str) -> bool:
        """Say whether the service has so many replicas."""
        return any(row["Name"] == name and row["Replicas"] == replicas for row in self.rows("service", "ls"))

    def tasks(self) -> dict[int, str]:
        """Return the processes of this daemon's tasks, with the task of each, by their environment."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                pairs = (pair.partition("=") for pair in os.fsdecode(path.read_bytes()).split("\0"))
                variables = {name: value for name, _, value in pairs}
                if variables.get("SKEP_TEST_HOME") == str(self.home) and "SKEP_TASK_ID" in variables:
                    found[int(path.parent.name)] = variables["SKEP_TASK_ID"]
        return found

    def log(self, number: int = 1) -> Path:
        """Return the file of a swarm's log."""
        return self.data / "swarms" / f"{number:06}" / "cluster.db"

    def told(self) -> Sequence[dict[str, Any]]:
        """Return the program's own log."""
        return [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]

    def close(self) -> None:
        """End whatever is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self.ended()
        eventually(lambda: not self.tasks(), "no process of a task is left")


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path, since sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="skep-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    daemon = Daemon(home)
    yield daemon
    daemon.close()


@pytest.fixture
def docker() -> None:
    """What a test asks for that drives the docker client."""
    if shutil.which("docker") is None:
        pytest.skip("no docker client on PATH")
