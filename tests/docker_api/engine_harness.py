"""A real Docker Engine of the tests' own, and skep in front of it."""

import asyncio
import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from docker_harness import Served
from skep.model.states import Availability
from skep.ports.registry import Registry
from skep.runtime.cluster import Cluster
from skep_adapters.docker_api import DockerApi

from tests.trust.requests import csr

#: What the image of the tests has: busybox is one binary with many names.
APPLETS = ("cat", "dd", "echo", "head", "ls", "md5sum", "sh", "sleep", "stty", "true", "tty", "wc")
IMAGE = "bb:1"


def why_not() -> str:
    """Return why no engine can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "starting a Docker Engine needs root"
    missing = [name for name in ("dockerd", "docker", "busybox", "setpriv") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (Debian: docker.io, busybox-static)" if missing else ""


@contextmanager
def running_engine() -> Iterator[Path]:
    """Run a Docker Engine with nothing shared but the kernel; yield its socket. The image `IMAGE` is in it."""
    with tempfile.TemporaryDirectory(prefix="skep-engine-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with (home / "log").open("wb") as log:
            daemon = subprocess.Popen(_command(home), stdout=log, stderr=log)
        path = home / "docker.sock"
        try:
            _wait(path, daemon, home / "log")
            _import_image(path)
            yield path
            _remove_containers(path)
        finally:
            daemon.terminate()
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            _unmount(home)


def _command(home: Path) -> list[str]:
    return [
        # should the tests be killed, it ends as well
        *("setpriv", "--pdeathsig", "TERM", "dockerd"),
        *("--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"),
        *("-H", f"unix://{home}/docker.sock", "--iptables=false", "--ip6tables=false", "--bridge=none"),
    ]


def engine_says(path: Path, *words: str, stdin: bytes = b"") -> str:
    """Run the docker CLI on the engine itself."""
    done = subprocess.run(
        ["docker", "-H", f"unix://{path}", *words],
        input=stdin,
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "DOCKER_CONFIG": "/nowhere"},
        timeout=60,
    )
    return done.stdout.decode().strip()


def _wait(path: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and daemon.poll() is None:
        try:
            engine_says(path, "version")
        except subprocess.CalledProcessError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"dockerd did not start:\n{log.read_text()[-2000:]}")


def _import_image(path: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    engine_says(path, "import", "-", IMAGE, stdin=content.getvalue())


def _remove_containers(path: Path) -> None:
    if containers := engine_says(path, "ps", "-aq").split():
        engine_says(path, "rm", "-f", *containers)


def _unmount(home: Path) -> None:
    """Unmount what an engine that was killed left behind."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed(mounted):
        if point.startswith(f"{home}/"):
            subprocess.run(["umount", "-l", point], check=False)


@asynccontextmanager
async def before_engine(
    engine: Path | None, *, registry: Registry | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Serve a swarm in memory, with an engine behind it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "skep.sock"
        async with (
            Cluster.open(**options) as cluster,
            DockerApi(cluster, engine=engine, registry=registry).serve_unix(path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        ):
            yield Served(cluster, path, http)


async def join(api: Served) -> None:
    """Take an engine in, as far as the swarm knows."""
    worker, _ = await api.cluster.swarm.tokens()
    await api.cluster.engine.membership.admit(worker, csr(), addr="10.0.0.7", availability=Availability.DRAIN)


def connections_to(engine: Path) -> int:
    """Count the connections of this process to an engine: an engine keeps its ends for a while after they were left."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as end:
                    found += end.getpeername() == str(engine)
    return found


class Wire:
    """A connection to a socket on which one speaks HTTP by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> str:
        """Return the head of an answer."""
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()

    async def rest(self) -> bytes:
        """Return what comes until the other side has closed."""
        return await asyncio.wait_for(self.reader.read(), 20)


@asynccontextmanager
async def wire(path: Path, request: str) -> AsyncIterator[Wire]:
    """Connect and send a request."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(request.replace("\n", "\r\n").encode())
        yield Wire(reader, writer)
    finally:
        writer.close()
