"""The nodes of a scenario, as they were when it was recorded: the same names, addresses, engines and images.

Node 1 is what is tried: skep with the engine of its machine, or as its peer that engine alone.
"""

import contextlib
import tarfile
from pathlib import Path
from typing import Self

from tests.acceptance.daemon import eventually
from tests.engines.engine import SOCKET, Engine
from tests.engines.images import program
from tests.engines.machine import Machine
from tests.engines.rig import Rig
from tests.engines.skep_daemon import Skep
from tests.engines.swarm import get

SUBNET = "192.168.77"
GATEWAY = f"{SUBNET}.1"
#: nobody is there, and nothing says so
RESOLVER = "10.255.255.53"

APPLETS = (
    *("sh", "ls", "cat", "echo", "sleep", "httpd", "wget", "nc", "env", "hostname", "ip", "ping", "printf", "true"),
    *("false", "date", "tail", "head", "vi", "ps", "id", "nslookup", "mkdir", "kill", "trap", "touch", "rm", "test"),
)
TICKS = 'CMD ["sh","-c","trap \\"exit 0\\" TERM INT; while true; do echo tick; sleep 5 & wait $!; done"]'
SERVES = """FROM localhost:5000/bb:1
EXPOSE 8080/tcp
CMD ["sh","-c","mkdir -p /www; hostname > /www/index.html; echo started {}; trap \\"exit 0\\" TERM INT; \
httpd -f -p 8080 -h /www & wait"]
"""
REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:5000"}}
log: {{level: error}}
"""

#: what dockerd is told beside what all engines of the tests are
SETTINGS = {2: {"labels": ["tier=two"], "node-generic-resources": ["gpu=UUID1", "gpu=UUID2", "ssd=3"]}}


class Images:
    """The images of the scenarios: in a registry's folder, and as an engine keeps them."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "registry"
        self.folder.mkdir()
        with Rig(home, subnet=SUBNET) as rig:
            engine = rig.engine("images")
            serve_registry(engine.machine, self.folder, home)
            engine.load("localhost:5000/bb:1", _busybox(home), TICKS)
            for version in ("v1", "v2"):
                engine.build(f"localhost:5000/ip:{version}", SERVES.format(version))
            engine.docker("tag", "localhost:5000/ip:v1", "localhost:5000/ip:latest")
            for tag in ("ip:latest", "ip:v1", "ip:v2", "bb:1"):
                engine.docker("push", "--quiet", f"localhost:5000/{tag}")
            engine.docker("tag", "localhost:5000/bb:1", "bb:1")
            engine.stop()
            self.packed = engine.packed()


def _busybox(home: Path) -> bytes:
    path = home / "bb.tar"
    with tarfile.open(path, "w") as tar:
        for folder in ("etc", "tmp", "www", "run", "run/secrets", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(program("busybox"), "bin/busybox")
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return path.read_bytes()


def serve_registry(machine: Machine, folder: Path, home: Path) -> None:
    """Start a registry on a machine, at localhost:5000."""
    settings = home / "registry.yml"
    settings.write_text(REGISTRY.format(folder=folder))
    machine.popen("docker-registry", "serve", str(settings), log=home / f"{machine.name}-registry.log")


class Nodes:
    """The nodes of one scenario; use it as a context. `peer`: a real swarm, without skep."""

    def __init__(self, home: Path, images: Images, count: int, *, peer: bool = False) -> None:
        self.home = home
        self.peer = peer
        self._images = images
        self._count = count
        self._rig = Rig(home, images.packed, subnet=SUBNET, first=11)
        self.engines: list[Engine] = []
        self.skep: Skep | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            rig = stack.enter_context(self._rig)
            rig.switch.run("ip", "address", "add", f"{GATEWAY}/24", "dev", "br0")
            for number in range(1, self._count + 1):
                settings = {"bip": f"172.29.{number}.1/24", "insecure-registries": [], **SETTINGS.get(number, {})}
                machine = rig.machine(f"node{number}")
                machine.run("ip", "route", "add", "default", "via", GATEWAY)
                machine.file("/etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
                serve_registry(machine, self._images.folder, self.home)
                engine = Engine(machine, self.home, settings)
                engine.unpack(self._images.packed)
                engine.start()
                self.engines.append(engine)
            if not self.peer:
                machine = self.engines[0].machine
                self.skep = Skep(machine, self.home, "--engine", f"unix://{SOCKET}")
                self.skep.start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._rig.__exit__()

    def engine(self, number: int) -> Engine:
        """Return what is driven at a node."""
        return self.skep if number == 1 and self.skep is not None else self.engines[number - 1]

    def join(self, count: int) -> None:
        """Begin a swarm of so many nodes, and return when all are ready."""
        first = self.engine(1)
        first.docker("swarm", "init", "--advertise-addr", self.engines[0].address)
        token = first.docker("swarm", "join-token", "--quiet", "worker").strip()
        for engine in self.engines[1:count]:
            engine.docker("swarm", "join", "--token", token, f"{self.engines[0].address}:2377")

        def ready() -> bool:
            states = [each["Status"]["State"] for each in get(first, "/nodes")]
            return states == ["ready"] * count and any(each["Name"] == "ingress" for each in get(first, "/networks"))

        eventually(ready, f"{count} nodes are ready")

    def kill(self, number: int) -> None:
        """End the engine of a node with SIGKILL."""
        self.engines[number - 1].kill()

    def start(self, number: int) -> None:
        """Start the engine of a node again."""
        self.engines[number - 1].start()

    def restart(self, number: int) -> None:
        """Stop a node as its machine's reboot does, and start it again."""
        if number == 1 and self.skep is not None:
            self.skep.stop()
        self.engines[number - 1].stop()
        self.engines[number - 1].start()
        if number == 1 and self.skep is not None:
            self.skep.start()
