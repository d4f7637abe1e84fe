"""skep on a machine of the rig: the daemon as a user starts it, and the real client that drives it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.acceptance.daemon import Following, eventually
from tests.engines.engine import Engine
from tests.engines.machine import Machine

SKEP = (sys.executable, "-m", "skep_adapters.cli.main")

#: Where it has its data; `/srv` is the machine's alone.
DATA = "/srv/skep"
SOCKET = f"{DATA}/skep.sock"


class Skep(Engine):
    """skep is driven as an engine is. `options` are those of `skep up`."""

    def __init__(self, machine: Machine, home: Path, *options: str) -> None:
        super().__init__(machine, home)
        self.log = home / f"{machine.name}-skep.log"
        self.options = options
        self.program: Sequence[str] = SKEP
        self._followed = 0

    @property
    def socket(self) -> Path:
        """Its socket, as it is reached from outside of the machine."""
        return self.machine.file(SOCKET)

    @property
    def pid(self) -> int:
        """Its number on its machine."""
        found = next(each.pid for each in self.machine.processes() if each.words[3:6] == ["up", "--data", DATA])
        status = Path(f"/proc/{found}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])

    def start(self) -> float:
        """Start it; return after how many seconds it answered."""
        started = time.monotonic()
        words = (*self.program, "up", "--data", DATA, *self.options)
        self._process = self.machine.popen(*words, log=self.log)
        eventually(self._answers, f"skep of {self.machine.name} answers")
        return time.monotonic() - started

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def following(self, *words: str) -> Iterator[Following]:
        """Run a docker client that does not end by itself."""
        self._followed += 1
        path = self.home / f"followed-{self._followed}"
        docker = shutil.which("docker")
        assert docker is not None
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "DOCKER_HOST": f"unix://{self.socket}"}
        with path.open("wb") as out:
            process = subprocess.Popen([docker, *words], stdout=out, stderr=out, env=environment)
        try:
            yield Following(process, path)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def close(self) -> None:
        """End it if it runs, and see that what it leaves is in order."""
        if self.running:
            self.stop()
        told = self.log.read_text(errors="replace")
        assert '"level": "error"' not in told, told
        assert "Traceback" not in told, told
        found = self.machine.run(*SKEP, "verify", "--data", DATA)
        assert all(line.endswith("all of it holds") for line in found.splitlines() if line[0] != " "), found
