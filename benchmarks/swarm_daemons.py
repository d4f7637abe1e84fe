"""The two managers that agents are counted against: skep, and dockerd, each alone on a machine of its own.

Both get the same: a network with nothing but a loopback, a new directory on the same disk, a swarm at 127.0.0.1:2377
whose manager is drained. What they cost is read from /proc.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engines.machine import Machine, path

ADDR = "127.0.0.1:2377"

#: What a daemon may take to start, to answer, and to end.
PATIENCE_S = 180.0

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


class Cost(NamedTuple):
    """What a process has used of the processors, in seconds, and at most of the memory, in MiB."""

    cpu_s: float
    peak_mib: float


class Manager:
    """A manager that runs, with its swarm."""

    def __init__(self, name: str, pid: int, socket_path: Path) -> None:
        self.name = name
        self.pid = pid
        self.socket = socket_path
        self.token = ""
        self.root = ""

    def begin(self) -> None:
        """Begin the swarm."""
        self.ask("POST", "/swarm/init", {"ListenAddr": ADDR, "AdvertiseAddr": ADDR, "Availability": "drain"})
        swarm = self.ask("GET", "/swarm")
        self.token, self.root = swarm["JoinTokens"]["Worker"], swarm["TLSInfo"]["TrustRoot"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return an answer of its API; raises `RuntimeError` if that is an error."""
        connection = _Unix(self.socket)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/v1.41{path}", sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {said.decode(errors='replace')}")
        return json.loads(said) if said.strip() else None

    def cost(self) -> Cost:
        """Return what it has cost since it began; processes that it started and that ended are its own."""
        # the name may hold blanks: what follows it does not
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{self.pid}/status").read_text().split()
        return Cost(sum(map(int, fields[11:15])) * TICK_S, int(status[status.index("VmHWM:") + 1]) / 1024)


@contextmanager
def skep(machine: Machine, home: Path, wrapper: Sequence[str] = ()) -> Iterator[Manager]:
    """Run skep; `wrapper` is what Python is told before the module's name."""
    data = home / "skep"
    words = (sys.executable, *wrapper, "-m", "skep_adapters.cli.main", "up", "--data", str(data))
    options = ("--executor", "simulated", "--listen-addr", ADDR, "--advertise-addr", "127.0.0.1")
    with _running(machine, (*words, *options), data / "skep.sock", home / "skep.log", "skep") as manager:
        yield manager


@contextmanager
def dockerd(machine: Machine, home: Path) -> Iterator[Manager]:
    """Run dockerd."""
    data = home / "docker"
    socket_path = machine.file("/run/docker.sock")
    words = ("dockerd", "--data-root", str(data), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid")
    options = ("-H", "unix:///run/docker.sock", "--storage-driver", "vfs", "--log-level", "error")
    with _running(machine, (*words, *options), socket_path, home / "dockerd.log", "dockerd") as manager:
        yield manager


def dockerd_version() -> str:
    """Return dockerd's version."""
    found = shutil.which("dockerd", path=path())
    assert found is not None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found by PATH
    return said.stdout.split()[2].rstrip(",")


@contextmanager
def _running(machine: Machine, words: Sequence[str], socket_path: Path, log: Path, name: str) -> Iterator[Manager]:
    process = machine.popen(*words, log=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        manager = None
        while manager is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
            found = [each.pid for each in machine.processes() if each.words[: len(words)] == list(words)]
            if found and _answers(socket_path):
                manager = Manager(name, min(found), socket_path)
        manager.begin()
        yield manager
    finally:
        _end(machine, process)


def _answers(socket_path: Path) -> bool:
    try:
        with contextlib.closing(_Unix(socket_path)) as connection:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _end(machine: Machine, process: "subprocess.Popen[bytes]") -> None:
    """End everything on a machine, kindly at first."""
    for number, patience_s in ((signal.SIGTERM, 30.0), (signal.SIGKILL, PATIENCE_S)):
        for each in machine.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, number)
        deadline = time.monotonic() + patience_s
        while machine.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not machine.processes():
            break
    process.wait(PATIENCE_S)
