"""A machine of its own inside this one: its network, processes, mounts and name are nobody else's.

Everything of it hangs on one process. When that ends, the kernel ends every process of the machine, and then takes its
interfaces and mounts away; it ends with the process that runs the tests, however that ends. So nothing is left but
control groups: `end` removes them, or `sweep` when tests were killed.

- `/run` and `/srv` are empty at first and in memory; what is written to `/etc` and `/opt` is the machine's alone. All
  else is the machine's that runs the tests, with its sources and programs at the same paths.
- It has no way out: only what a `Lan` connects it to.
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tests.acceptance.daemon import PATIENCE_S, eventually

#: Ends with whoever started it, and what it runs ends with it.
HOLD = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child")

#: The least that keeps a machine there. Its first process adopts what daemons leave, and so must not heed SIGCHLD.
INIT = """
set -e
read -r pid rest </proc/self/stat # as it is seen from outside: the new /proc comes after this
mount -t proc proc /proc
mount -t tmpfs -o mode=755,size=1g tmpfs /run
mount -t tmpfs -o mode=755,size=2g tmpfs /srv
for each in etc opt; do
  mkdir -p /run/.$each/upper /run/.$each/work
  mount -t overlay -o lowerdir=/$each,upperdir=/run/.$each/upper,workdir=/run/.$each/work overlay /$each
done
rm -rf /etc/docker /etc/resolv.conf # an engine that this machine has is not the one of the new machine
echo 'nameserver 127.0.0.1' >/etc/resolv.conf # nobody is there: it refuses at once
echo "127.0.0.1 localhost $0" >/etc/hosts
hostname "$0"
ip link set lo up
echo "$pid"
trap '' CHLD
exec sleep infinity
"""

CGROUPS = Path("/sys/fs/cgroup")

_numbers = itertools.count(1)


class Process(NamedTuple):
    """A process of a machine; `pid` is its number outside of it."""

    pid: int
    words: list[str]


class Machine:
    """A machine with a name, which is its host name too; use it as a context."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: the parent of the control groups of its containers
        self.cgroup = f"skep-{os.getpid()}-{next(_numbers)}"
        #: its address, once a `Lan` has connected it
        self.address = ""
        self._holder: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[bytes]] = []
        self._pid = 0

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(
            [*HOLD, "sh", "-c", INIT, self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": path()},
        )
        assert self._holder.stdout is not None
        line = self._holder.stdout.readline()
        if not line:
            said = self._holder.communicate()[1]
            raise OSError(f"no machine could be made: {said.strip()}")
        self._pid = int(line)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process that it hangs on."""
        assert self._pid, "the machine has ended"
        return self._pid

    def file(self, name: str) -> Path:
        """Return the path by which a file of the machine is reached from outside; sockets too."""
        return Path(f"/proc/{self.pid}/root") / name.lstrip("/")

    def end(self) -> None:
        """End it as a power cut does; return when nothing of it is left."""
        if self._holder is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        self._holder.communicate(timeout=PATIENCE_S)
        for process in self._started:
            process.wait(PATIENCE_S)
        self._holder, self._pid, self._started = None, 0, []
        eventually(self._ungrouped, f"the control groups of {self.name} are gone")

    def _ungrouped(self) -> bool:
        """Remove its control groups; say whether all are gone. A group whose processes end just now stays a while."""
        for group in groups(self.cgroup):
            _remove(group)
        return not groups(self.cgroup)

    # --- what runs on it

    def words(self, *command: str) -> list[str]:
        """Return the command that runs `command` on it."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--", *command]

    def popen(self, *command: str, log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process on it, whose output is added to `log`.

        The process that is returned only waits for it, and ends as it does: signals are for `signal`.
        """
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.words(*command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={"PATH": path(), **(env or {})},
            )
        self._started.append(process)
        return process

    def run(self, *command: str, stdin: bytes = b"", code: int | None = 0) -> str:
        """Return what a command prints to standard output and error; it must end with `code`, unless that is None."""
        done = subprocess.run(
            self.words(*command),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
            env={"PATH": path()},
        )
        shown = done.stdout.decode(errors="replace")
        assert code is None or done.returncode == code, (self.name, command, done.returncode, shown)
        return shown

    def signal(self, number: int, pid: int) -> None:
        """Send a signal to a process, by its number on this machine."""
        self.run("sh", "-c", f"kill -{number} {pid}")

    def processes(self) -> list[Process]:
        """Return its processes, in no order; without the one that it hangs on, and those in containers."""
        own = _namespace(self.pid)
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            pid = int(each.name)
            with contextlib.suppress(OSError):  # it has ended
                if pid != self.pid and _namespace(pid) == own:
                    words = (each / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                    if words:  # else it has ended, and nobody has noted it
                        found.append(Process(pid, words))
        return found


def groups(name: str) -> list[Path]:
    """Return the control groups of a name, which may be a pattern: of every hierarchy, if there is more than one."""
    return [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]


def sweep() -> None:
    """Remove the control groups of machines whose tests were killed."""
    for group in groups("skep-[0-9]*-[0-9]*"):
        if not Path(f"/proc/{group.name.split('-')[1]}").exists():
            _remove(group)


def _remove(group: Path) -> None:
    """Remove a control group and those in it, except where something still runs."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - it leads to no path


def path() -> str:
    """Return where programs are looked for: also where Debian keeps what only root runs."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
