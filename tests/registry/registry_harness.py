"""A real registry (Debian's docker-registry) on loopback, what it holds, and a server of tokens that it trusts."""

import base64
import datetime as dt
import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

REGISTRY = shutil.which("docker-registry")

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

#: `user` with the password `password`, as htpasswd keeps them
HTPASSWD = "user:$2b$04$OizSAWIlZN1oVHRpnS2Xs.lj.2XwhwAeURhzzFegNlN8CVbVhQTEC\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(folder: Path, **auth: Any) -> Iterator[str]:
    """Run a registry that keeps what it holds in `folder`; yield its host and port."""
    assert REGISTRY
    port = free_port()
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": True},
    }
    # JSON is YAML too
    (folder / "config.yml").write_text(json.dumps(settings | ({"auth": auth} if auth else {})))
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([REGISTRY, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait(port, server, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"docker-registry did not start:\n{log.read_text()[-2000:]}")


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Shelf:
    """Puts images into a registry."""

    def __init__(self, host: str) -> None:
        self.host = host

    async def put(self, name: str, tag: str, *, kind: str = DOCKER_MANIFEST, **platform: Any) -> bytes:
        """Put an image of no layers; return its manifest."""
        config = json.dumps({"rootfs": {"type": "layers", "diff_ids": []}} | platform).encode()
        async with aiohttp.ClientSession() as http:
            await self._blob(http, name, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": "application/json", "digest": digest(config), "size": len(config)},
            "layers": [],
        }
        return await self.put_manifest(name, tag, kind, manifest)

    async def put_manifest(self, name: str, tag: str, kind: str, manifest: Any) -> bytes:
        body = json.dumps(manifest).encode()
        url = f"http://{self.host}/v2/{name}/manifests/{tag}"
        async with (
            aiohttp.ClientSession() as http,
            http.put(url, data=body, headers={"Content-Type": kind}) as answer,
        ):
            assert answer.status == 201, await answer.text()
        return body

    async def _blob(self, http: aiohttp.ClientSession, name: str, content: bytes) -> None:
        async with http.post(f"http://{self.host}/v2/{name}/blobs/uploads/") as answer:
            assert answer.status == 202, await answer.text()
            where = answer.headers["Location"]
        url = f"http://{self.host}{where}&digest={digest(content)}"
        async with http.put(url, data=content) as answer:
            assert answer.status == 201, await answer.text()


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """Serve one handler on loopback; yield host and port."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Tokens:
    """A server of tokens; `asked` holds what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = folder / "bundle.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.asked: list[tuple[str, dict[str, str], str]] = []
        #: the header that is let in; anything if it is None
        self.wanted: str | None = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        said = dict(request.query) | form
        shown = request.headers.get("Authorization", "")
        self.asked.append((request.method, said, shown))
        if self.wanted is not None and shown != self.wanted:
            details = {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
            return web.json_response(details, status=401)
        kind, name, actions = said["scope"].split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        field = "access_token" if form else "token"
        return web.json_response({field: self._signed(said["service"], access)})

    def _signed(self, service: str, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        chain = [base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()]
        claims = {"iss": "tokens", "sub": "", "aud": service, "exp": now + 60, "nbf": now - 10, "iat": now, "jti": "1"}
        parts = [{"typ": "JWT", "alg": "ES256", "x5c": chain}, claims | {"access": access}]
        text = ".".join(_packed(json.dumps(part).encode()) for part in parts)
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_packed(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
