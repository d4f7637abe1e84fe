"""What the containers of these tests run: a static busybox and a script, so that no registry is asked for anything."""

import functools
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.engines.engine import Engine
from tests.engines.machine import path

#: names under which the busybox of an image is called
APPLETS = (
    *(
        "sh",
        "cat",
        "echo",
        "env",
        "false",
        "grep",
        "hostname",
        "httpd",
        "id",
        "ip",
        "kill",
        "ls",
        "mkdir",
        "mount",
        "nc",
    ),
    *("netstat", "nslookup", "ping", "ps", "rm", "sleep", "stat", "test", "touch", "true", "wget"),
)

#: Says its version and serves it at /version; ends at once when it is told to; `/hung` makes it unhealthy.
APP = """#!/bin/sh
trap 'echo "bye from $(hostname)"; exit 0' TERM INT
echo "$(cat /www/version) on $(hostname)"
httpd -p 80 -h /www
while :; do sleep 1 & wait $!; done
"""

#: Fails as soon as it has said so.
FAILS = """#!/bin/sh
echo "cannot go on" >&2
exit 3
"""

HEALTHCHECK = "HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test ! -e /hung"

REGISTRY = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""


def load(engine: Engine) -> None:
    """Give an engine the images of these tests: `app:v1`, `app:v2`, `fails:v1`, and `checked:v1` with a HEALTHCHECK."""
    for version in ("v1", "v2"):
        engine.load(f"app:{version}", _busybox(APP, version), 'CMD ["/bin/app"]', "EXPOSE 80")
    engine.load("fails:v1", _busybox(FAILS, "v1"), 'CMD ["/bin/app"]')
    engine.build("checked:v1", f"FROM app:v1\n{HEALTHCHECK}\n")


def load_registry(engine: Engine) -> None:
    """Give an engine `registry:2`: Debian's docker-registry, which keeps what it has in /var/lib/registry."""
    engine.load("registry:2", _registry(), 'CMD ["/bin/docker-registry", "serve", "/etc/registry.yml"]', "EXPOSE 5000")


@functools.cache
def _busybox(script: str, version: str) -> bytes:
    files = {"bin/app": script.encode(), "www/version": f"app {version}\n".encode(), "etc/passwd": b"root:x:0:0::/:\n"}
    return _tar({"bin/busybox": program("busybox").read_bytes(), **files}, links=APPLETS)


@functools.cache
def _registry() -> bytes:
    """Return a root with the registry and what it is linked with."""
    registry = program("docker-registry")
    linked = subprocess.run(["ldd", str(registry)], capture_output=True, text=True, check=False).stdout
    libraries = {word for word in linked.split() if word.startswith("/")}
    files = {each.lstrip("/"): Path(each).read_bytes() for each in sorted(libraries)}
    files |= {"bin/busybox": program("busybox").read_bytes(), "bin/docker-registry": registry.read_bytes()}
    return _tar({**files, "etc/registry.yml": REGISTRY.encode()}, links=APPLETS)


def _tar(files: dict[str, bytes], links: tuple[str, ...]) -> bytes:
    """Return a root file system: everything may be run, and `links` are names of busybox."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("tmp", "proc", "sys", "dev", "var/lib/registry"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for link in links:
            entry = tarfile.TarInfo(f"bin/{link}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return out.getvalue()


def program(name: str) -> Path:
    found = shutil.which(name, path=path())
    assert found is not None, name
    return Path(found)
