"""The API over TCP: certificates on both sides, or loopback, and never a web page."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import trustme
from docker_harness import DOCKER, until
from engine_harness import IMAGE
from skep.core.events import ConfigCreated
from skep.core.record import Actor
from skep.runtime.cluster import Cluster
from skep_adapters.docker_api import Certificates, DockerApi, connections, tls

from tests.files import none_left

HOST = "127.0.0.1"


class Files(NamedTuple):
    """Where the docker client looks for certificates, and what the server is given."""

    client: Path
    server: Certificates


def written(folder: Path, authority: trustme.CA, owner: trustme.LeafCert) -> Certificates:
    """Write certificates as docker names them."""
    folder.mkdir()
    found = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(found.authority))
    owner.cert_chain_pems[0].write_to_path(str(found.certificate))
    owner.private_key_pem.write_to_path(str(found.key))
    return found


@pytest.fixture
def files() -> Iterator[Files]:
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        alice = authority.issue_cert("alice@example.org", common_name="alice")
        server = written(Path(folder, "server"), authority, authority.issue_cert(HOST))
        written(Path(folder, "client"), authority, alice)
        yield Files(Path(folder, "client"), server)


@asynccontextmanager
async def serving(certificates: Certificates | None, engine: Path | None = None) -> AsyncIterator[tuple[Cluster, int]]:
    async with (
        Cluster.open() as cluster,
        DockerApi(cluster, engine=engine).serve_tcp(HOST, 0, certificates) as port,
    ):
        yield cluster, port


async def docker(port: int, folder: Path | None, *words: str, stdin: str = "", code: int = 0) -> str:
    """Run the docker client; with certificates from a folder, or without TLS."""
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)} if folder is not None else {}
    process = await asyncio.create_subprocess_exec(
        DOCKER or "docker",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"DOCKER_HOST": f"tcp://{HOST}:{port}", "HOME": "/nowhere", **tls},
    )
    out = (await process.communicate(stdin.encode()))[0].decode()
    assert process.returncode == code, out
    return out


async def test_who_shows_a_certificate_is_served_and_named_in_the_record(files: Files) -> None:
    async with serving(files.server) as (cluster, port):
        await docker(port, files.client, "config", "create", "c", "-", stdin="x")
        assert "c\n" in await docker(port, files.client, "config", "ls", "--format", "{{.Name}}")
        actor = await maker(cluster)
    assert actor.name == "cert:alice"
    assert actor.via.startswith("Docker-Client/")


async def maker(cluster: Cluster) -> Actor:
    """Return who made the config."""
    async for each in cluster.events():
        if any(isinstance(event, ConfigCreated) for event in each.events):
            return each.actor
    raise AssertionError


async def test_who_shows_no_certificate_or_one_of_another_authority_is_not_heard(files: Files, tmp_path: Path) -> None:
    other = trustme.CA()
    stranger = written(tmp_path / "other", other, other.issue_cert("mallory@example.org", common_name="alice"))
    stranger.authority.write_bytes(files.server.authority.read_bytes())  # the client trusts the server
    async with serving(files.server) as (_, port):
        said = await docker(port, tmp_path / "other", "node", "ls", code=1)
        assert "remote error: tls: unknown certificate authority" in said
        await docker(port, None, "node", "ls", code=1)
        context = ssl.create_default_context(cafile=files.server.authority)
        with pytest.raises((aiohttp.ClientError, OSError)):
            async with aiohttp.ClientSession() as http, http.get(f"https://{HOST}:{port}/info", ssl=context) as answer:
                await answer.read()


async def test_input_that_ends_leaves_the_output_to_come(files: Files, engine: Path) -> None:
    async with serving(files.server, engine) as (_, port):
        words = ("run", "-i", "--rm", "--network", "none", IMAGE, "sh", "-c", "cat; sleep 1; echo end")
        assert await docker(port, files.client, *words, stdin="through and back\n") == "through and back\nend\n"
        name = (await docker(port, files.client, "run", "-d", "--network", "none", IMAGE, "sleep", "100")).strip()
        try:
            assert (
                await docker(port, files.client, "exec", "-i", name, "wc", "-c", stdin="x" * 1_000_000) == "1000000\n"
            )
        finally:
            await docker(port, files.client, "rm", "-f", name)


async def test_a_stream_goes_on_until_its_client_leaves(files: Files) -> None:
    async with serving(files.server) as (_, port):
        context = ssl.create_default_context(cafile=files.server.authority)
        context.load_cert_chain(files.client / "cert.pem", files.client / "key.pem")
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"https://{HOST}:{port}/events", ssl=context) as answer,
        ):
            await docker(port, files.client, "config", "create", "c", "-", stdin="x")
            assert b'"create"' in await answer.content.readline()


async def test_one_that_only_connects_is_closed_and_holds_up_nobody(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.5)
    async with serving(files.server) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        await docker(port, files.client, "version")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_one_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_HEAD_S", 0.3)
    async with serving(None) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /info HTTP/1.1\r\nHost: loc")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.6)
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\nOK")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_one_too_many_is_closed_until_another_has_gone(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CONNECTIONS_MAX", 2)
    async with serving(files.server) as (_, port):
        context = ssl.create_default_context(cafile=files.server.authority)
        context.load_cert_chain(files.client / "cert.pem", files.client / "key.pem")
        held = [await asyncio.open_connection(HOST, port, ssl=context) for _ in range(2)]
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection(HOST, port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        for _, each in held:
            each.close()

        async def served() -> bool:
            try:
                async with (
                    aiohttp.ClientSession() as http,
                    http.get(f"https://{HOST}:{port}/_ping", ssl=context) as one,
                ):
                    return one.status == 200
            except aiohttp.ClientError:
                return False

        await until(served)


async def test_those_without_a_certificate_keep_nobody_out_who_has_one(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "CONNECTIONS_MAX", 3)
    async with serving(files.server) as (_, port):
        held = [await asyncio.open_connection(HOST, port) for _ in range(3)]
        await asyncio.sleep(0.1)
        context = ssl.create_default_context(cafile=files.server.authority)
        context.load_cert_chain(files.client / "cert.pem", files.client / "key.pem")
        async with aiohttp.ClientSession() as http, http.get(f"https://{HOST}:{port}/_ping", ssl=context) as one:
            assert one.status == 200
        assert await asyncio.wait_for(held[0][0].read(), 5) == b""
        for _, each in held:
            each.close()


async def test_connections_are_taken_again_when_files_can_be_opened_again(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "ACCEPT_AGAIN_S", 0.05)
    async with serving(files.server) as (_, port):
        with socket.socket() as one:
            with none_left():
                one.connect((HOST, port))
                await asyncio.sleep(0.2)
            await docker(port, files.client, "version")


def connections_to(address: tuple[str, int]) -> list[int]:
    """Return the descriptors of this process's own connections whose other end is there."""
    found = []
    for fd in (int(each.name) for each in Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            borrowed = socket.socket(fileno=fd)
            try:
                if borrowed.family == socket.AF_INET and borrowed.getpeername() == address:
                    found.append(fd)
            finally:
                borrowed.detach()
    return found


def keeps_asking(fd: int) -> bool:
    borrowed = socket.socket(fileno=fd)
    try:
        return bool(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    finally:
        borrowed.detach()


async def test_the_kernel_asks_whether_a_silent_client_is_still_there(files: Files) -> None:
    async with serving(files.server) as (_, port):
        _, writer = await asyncio.open_connection(HOST, port)
        ours = writer.get_extra_info("sockname")
        await asyncio.sleep(0.1)
        asking = [keeps_asking(fd) for fd in connections_to(ours)]
        writer.close()
        assert asking == [True]


async def test_without_certificates_it_is_loopback_or_nothing() -> None:
    async with Cluster.open() as cluster:
        with pytest.raises(ValueError, match="loopback only"):
            async with DockerApi(cluster).serve_tcp("0.0.0.0", 0, None):  # noqa: S104 - it is refused
                pass


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example.org:2375"},
    ],
)
async def test_a_web_page_is_refused_on_loopback(headers: dict[str, str]) -> None:
    async with serving(None) as (cluster, port), aiohttp.ClientSession() as http:
        url = f"http://{HOST}:{port}/configs/create"
        body = {"Name": "c", "Data": "eA=="}
        async with http.post(url, json=body, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (403, {"message": "no web page may ask this server"})
        async with http.post(url, json=body, headers={"Host": f"localhost:{port}"}) as answer:
            assert answer.status == 201
        assert (await maker(cluster)).name == "loopback"
