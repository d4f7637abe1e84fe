"""What the acceptance tests share: the real daemon in a process of its own, and who talks to it.

Tests wait on conditions, with a deadline that is generous because machines are busy. Whatever a test did, its daemon
ends orderly, leaves no process, has logged no error, and `skep verify` says that all of its log holds: `Daemon.close`
sees to that.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

SKEP = (sys.executable, "-m", "skep_adapters.cli.main")

#: Several daemons run on one machine: each lets workers in at a port of its own.
APART = ("--listen-addr", "127.0.0.1:0")

#: For whatever a busy machine needs; nothing here waits longer than it takes.
PATIENCE_S = 120.0

LOOK_AGAIN_S = 0.05

FRAME_BYTES = 8

TICKING = ("sh", "-c", "while true; do echo tick; sleep 1; done")


def eventually(ask: Callable[[], T], what: str) -> T:
    """Return the first true answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"it did not come to this in time: {what}"
        time.sleep(LOOK_AGAIN_S)
    return answer


class Answer(NamedTuple):
    """An answer over HTTP; `value` is its JSON, or its bytes."""

    status: int
    value: Any

    @property
    def message(self) -> str:
        return str(self.value["message"])


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Return the answer to a request; `body` is sent as JSON, or as it is if it is bytes."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        self.request(method, path, raw, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return Answer(answer.status, json.loads(text) if is_json else text)


class Following:
    """A docker client that runs on until it is interrupted; what it prints goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self._process = process
        self._path = path

    @property
    def shown(self) -> str:
        return self._path.read_text()

    def interrupt(self) -> None:
        """Type Ctrl-C, and wait for its end."""
        assert self._process.poll() is None, self.shown
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE_S)


class Process(NamedTuple):
    """A process of a task; the instant of its start tells it from others with its number."""

    pid: int
    started: str
    task_id: str


class Daemon:
    """`skep up` on one data directory; may be started again after it ended."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "d"
        self.socket = self.data / "skep.sock"
        self.errors = home / "err"
        self.greeting = ""
        self._process: subprocess.Popen[str] | None = None
        self._followed = 0

    # --- its life

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def spawn(self, *arguments: str) -> None:
        """Start it, and return at once."""
        with self.errors.open("a") as errors:
            words = [*SKEP, "up", "--data", str(self.data), *APART, *self._executor(arguments), *arguments]
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)

    def ready(self) -> None:
        """Return when it said what to type next."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(3)]
        self.greeting = "".join(lines)
        assert lines[2].startswith("docker "), (lines, self.told())

    @staticmethod
    def _executor(arguments: Sequence[str]) -> tuple[str, ...]:
        """Return what keeps a daemon from taking the Docker Engine of this machine."""
        return () if "--executor" in arguments else ("--executor", "process")

    def start(self, *arguments: str) -> None:
        """Start it, and return when it is ready."""
        self.spawn(*arguments)
        self.ready()

    def kill(self) -> None:
        """End it the hard way."""
        self.process.kill()
        self._ended()

    def stop(self) -> None:
        """End it orderly: exit code 0, and nothing of it is left."""
        self.process.terminate()
        assert self._ended() == 0, self.told()
        assert self.tasks() == set()

    def _ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def told(self) -> str:
        """Return what it said on standard error, in all its lives."""
        return self.errors.read_text()

    def close(self) -> None:
        """End it if it runs, and see that what it leaves is in order."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        eventually(lambda: not self.tasks(), "no process of a task is left")
        assert '"level": "error"' not in self.told()
        assert "Traceback" not in self.told()
        if self.log().exists():
            assert all(line.endswith("all of it holds") for line in self.verify().splitlines() if line[0] != " ")

    def discard(self) -> None:
        """End it whatever state it is in, after a test that failed."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    # --- who talks to it

    def docker(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Return what the docker client prints to standard output and error; it must end with `code`."""
        done = subprocess.run(
            [_docker(), *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=self._environment(),
        )
        assert done.returncode == code, (words, done.stdout, self.told())
        return done.stdout

    def rows(self, *words: str) -> list[dict[str, str]]:
        """Return what the docker client lists, by column."""
        return [json.loads(line) for line in self.docker(*words, "--format", "json").splitlines()]

    @contextlib.contextmanager
    def following(self, *words: str) -> Iterator[Following]:
        """Run a docker client that does not end by itself."""
        self._followed += 1
        path = self.home / f"followed-{self._followed}"
        with path.open("wb") as out:
            process = subprocess.Popen([_docker(), *words], stdout=out, stderr=out, env=self._environment())
        try:
            yield Following(process, path)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "DOCKER_HOST": f"unix://{self.socket}"}

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Return the answer to a request over a connection of its own."""
        with contextlib.closing(UnixConnection(self.socket)) as connection:
            return connection.ask(method, path, body)

    def get(self, path: str) -> Any:
        """Return what is there."""
        status, value = self.ask("GET", path)
        assert status == 200, (path, status, value)
        return value

    def lines(self, path: str) -> list[str]:
        """Return what was printed by the service or task at `path`."""
        raw = self.get(f"{path}/logs?stdout=1&stderr=1")
        lines = []
        while raw:  # each in a frame: the stream, three zeros, its length
            end = FRAME_BYTES + int.from_bytes(raw[4:FRAME_BYTES], "big")
            lines.append(raw[FRAME_BYTES:end].decode().rstrip("\n"))
            raw = raw[end:]
        return lines

    def create(self, kind: str, spec: Any) -> str:
        """Create an object; return its id."""
        status, value = self.ask("POST", f"/{kind}/create", spec)
        assert status == 201, (kind, spec, status, value)
        return str(value["ID"])

    # --- what it has made

    def converged(self, *names: str) -> bool:
        """Say whether all services, or those of these names, have the tasks that they want."""
        services = {one["Spec"]["Name"]: one["ServiceStatus"] for one in self.get("/services?status=true")}
        return all(
            services[name]["RunningTasks"] == services[name]["DesiredTasks"] for name in names or services.keys()
        )

    def tasks(self) -> set[Process]:
        """Return the processes of its tasks, of any life, found by their environment and where they run."""
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                task_id = _variables(path).get("SKEP_TASK_ID")
                if task_id and str(Path(os.readlink(path / "cwd"))).startswith(f"{self.data}/"):  # noqa: PTH115 - it may be gone
                    found.add(Process(int(path.name), _started(path), task_id))
        return found

    def log(self, number: int = 1) -> Path:
        """Return the file of a swarm's log."""
        return self.data / "swarms" / f"{number:06}" / "cluster.db"

    def verify(self, *, code: int = 0) -> str:
        """Return what `skep verify` says of the data directory."""
        words = [*SKEP, "verify", "--data", str(self.data)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == code, done
        return done.stdout


def service(name: str, *args: str, replicas: int = 1, **container: Any) -> dict[str, Any]:
    """Return the spec of a service whose processes run `args`."""
    template = {"ContainerSpec": {"Image": "host", "Args": list(args), **container}}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}}


def _docker() -> str:
    found = shutil.which("docker")
    assert found is not None
    return found


def _variables(process: Path) -> dict[str, str]:
    pairs: Sequence[str] = os.fsdecode((process / "environ").read_bytes()).split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _started(process: Path) -> str:
    """Return field 22 of stat(5), counted behind the name, which may hold anything."""
    return (process / "stat").read_text().rpartition(")")[2].split()[19]
