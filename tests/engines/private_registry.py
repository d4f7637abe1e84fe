"""A registry that wants a password: Debian's docker-registry, on a machine of the rig's network."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.images import program
from tests.engines.machine import Machine

USER, PASSWORD = "puller", "only-who-pulls-knows-this"

#: the two, as htpasswd keeps them
_HTPASSWD = f"{USER}:$2b$04$OizSAWIlZN1oVHRpnS2Xs.zr/QWOfqdjQHlpJIEjLzvDvkJOThJTu\n"

_PORT = 5000


class PrivateRegistry:
    """Serves until its machine ends."""

    def __init__(self, machine: Machine, home: Path) -> None:
        self.host = f"{machine.address}:{_PORT}"
        settings = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": "/srv/registry"}},
            "http": {"addr": f":{_PORT}"},
            "auth": {"htpasswd": {"realm": "here", "path": "/srv/htpasswd"}},
        }
        machine.file("/srv/htpasswd").write_text(_HTPASSWD)
        machine.file("/srv/registry.yml").write_text(json.dumps(settings))  # JSON is YAML too
        machine.popen(str(program("docker-registry")), "serve", "/srv/registry.yml", log=home / "registry.log")

    def log_in(self, engine: Engine) -> None:
        """Type `docker login`; the client keeps it for whatever it drives from then on."""
        words = ("login", "--username", USER, "--password-stdin", self.host)
        eventually(lambda: engine.client(*words, stdin=PASSWORD.encode()).returncode == 0, "the registry lets it in")

    def push(self, engine: Engine, image: str, name: str) -> str:
        """Push an image of an engine, which forgets it by that name; return the name."""
        whole = f"{self.host}/{name}"
        engine.docker("tag", image, whole)
        engine.docker("push", whole)
        engine.docker("image", "rm", whole)
        return whole


def spellings() -> Iterator[bytes]:
    """Yield the password as it may be written: as it is, in hex, in base64 at any offset."""
    content = PASSWORD.encode()
    yield content
    yield content.hex().encode()
    for before in range(3):
        yield base64.b64encode(bytes(before) + content)[4 * bool(before) : -4]
