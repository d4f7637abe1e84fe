"""A Docker Engine on a machine: the real dockerd, and the real client that drives it."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.daemon import PATIENCE_S, eventually
from tests.engines.lan import PREFIX, SUBNET
from tests.engines.machine import Machine, path

#: Where a machine has its engine; `/run` and `/srv` are the machine's alone.
SOCKET = "/run/docker.sock"
PIDFILE = "/run/docker.pid"
DATA = "/srv/docker"

#: Nothing of an engine of the machine that runs the tests; registries in the network need no certificates.
SETTINGS = {
    "data-root": DATA,
    "pidfile": PIDFILE,
    "exec-root": "/run/docker",
    "hosts": [f"unix://{SOCKET}"],
    "storage-driver": "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "insecure-registries": [f"{SUBNET}.0/{PREFIX}"],
    "shutdown-timeout": 5,
}


class Engine:
    """The engine of one machine. Its files outlive it; they end with the machine.

    Start engines one after the other: on one kernel, several that set up iptables at once get in each other's way.
    """

    def __init__(self, machine: Machine, home: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.machine = machine
        #: more than every engine is told
        self._settings = settings or {}
        self.home = home
        self.log = home / f"{machine.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    # --- its life

    def start(self) -> float:
        """Start dockerd; return after how many seconds it answered."""
        started = time.monotonic()
        machine = self.machine
        settings = {**SETTINGS, "cgroup-parent": f"/{machine.cgroup}", **self._settings}
        machine.file("/run/daemon.json").write_text(json.dumps(settings))
        self._process = machine.popen("dockerd", "--config-file", "/run/daemon.json", log=self.log)
        eventually(self._answers, f"dockerd of {machine.name} answers")
        return time.monotonic() - started

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said()
        return self.client("version").returncode == 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its number on its machine."""
        return int(self.machine.file(PIDFILE).read_text())

    def stop(self) -> None:
        """End it as `systemctl stop docker` does: its containers end before it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End dockerd with SIGKILL; containerd ends with it, and its containers run on."""
        self._end(signal.SIGKILL)
        eventually(lambda: "containerd" not in self._daemons(), "containerd has ended")
        # else the next one takes a process that got the same number for its containerd
        self.machine.file("/run/docker/containerd/containerd.pid").unlink(missing_ok=True)

    def _daemons(self) -> set[str]:
        return {each.words[0] for each in self.machine.processes()}

    def _end(self, number: int) -> None:
        assert self._process is not None
        self.machine.signal(number, self.pid)
        self._process.wait(PATIENCE_S)
        self._process = None

    def said(self) -> str:
        """Return what it said, in all its lives; at most the end of it."""
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    # --- who drives it

    @property
    def address(self) -> str:
        return self.machine.address

    @property
    def socket(self) -> Path:
        """Its socket, as it is reached from outside of the machine."""
        return self.machine.file(SOCKET)

    def client(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the docker client against it, and return how that ended."""
        docker = shutil.which("docker")
        assert docker is not None
        return subprocess.run(
            [docker, *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
            env={
                "PATH": path(),
                "HOME": str(self.home),
                "DOCKER_HOST": f"unix://{self.socket}",
                "DOCKER_BUILDKIT": "0",  # the builder inside of dockerd: the other one is a program of its own
            },
        )

    def docker(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        """Return what the docker client prints to standard output and error; it must end with `code`."""
        done = self.client(*words, stdin=stdin)
        shown = done.stdout.decode(errors="replace")
        assert done.returncode == code, (self.machine.name, words, done.returncode, shown, self.said())
        return shown

    def show(self, *words: str) -> Any:
        """Return what the docker client prints as JSON."""
        return json.loads(self.docker(*words, "--format", "{{json .}}"))

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what the docker client lists, by column."""
        return [json.loads(line) for line in self.docker(*words, "--format", "{{json .}}").splitlines()]

    def load(self, tag: str, root: bytes, *changes: str) -> None:
        """Make an image of a root file system, which is a tar; `changes` are lines of a Dockerfile."""
        given = [word for change in changes for word in ("--change", change)]
        self.docker("import", *given, "-", tag, stdin=root)

    def build(self, tag: str, dockerfile: str) -> None:
        """Build an image from nothing but a Dockerfile."""
        self.docker("build", "--tag", tag, "-", stdin=dockerfile.encode())

    # --- what it uses

    def memory(self) -> dict[str, int]:
        """Return the bytes of dockerd and containerd that are in memory, by name; shared ones with both."""
        found = self.machine.processes()
        return {name: _resident(each.pid) for each in found if (name := each.words[0]) in ("dockerd", "containerd")}

    # --- its images, to give to other engines

    def packed(self) -> bytes:
        """Return the images of an engine that has stopped."""
        assert not self.running
        words = ("tar", "--create", "--directory", DATA, "--xattrs", "image", "overlay2")
        return subprocess.run(self.machine.words(*words), capture_output=True, check=True).stdout

    def unpack(self, images: bytes) -> None:
        """Take the images of another engine, before this one is started for the first time."""
        self.machine.run("mkdir", DATA)
        self.machine.run("tar", "--extract", "--directory", DATA, "--xattrs", stdin=images)


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) * 1024
