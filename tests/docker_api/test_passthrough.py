"""What is the Docker Engine's is passed on to it: a real one, through docker's CLI and its Python SDK."""

import asyncio
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import aiohttp
import docker
import pytest
from docker_harness import Served, until
from engine_harness import IMAGE, before_engine, engine_says

RUN = ("run", "--network", "none")


async def test_a_container_runs_and_everything_about_it_can_be_asked(engine: Path) -> None:
    async with before_engine(engine) as api:
        assert await api.docker(*RUN, "--rm", IMAGE, "echo", "hi") == "hi"
        assert "nothing" in await api.docker(*RUN, "--rm", IMAGE, "sh", "-c", "echo nothing >&2; exit 3", code=3)
        container = await api.docker(*RUN, "-d", "--name", "asked", IMAGE, "sh", "-c", "echo one; sleep 100")
        assert container in await api.docker("ps", "-q", "--no-trunc")
        assert await api.docker("inspect", "-f", "{{.State.Running}}", "asked") == "true"
        await until(lambda: api.docker("logs", "asked"))
        assert await api.docker("logs", "asked") == "one"
        assert "sleep 100" in await api.docker("top", "asked")
        assert container[:12] in await api.docker("stats", "--no-stream")
        assert "CONTAINER ID" in await api.docker("system", "df", "-v")
        assert await api.docker("stop", "-t", "0", "asked") == "asked"
        assert await api.docker("wait", "asked") == "137"
        assert (await api.docker("commit", "asked", "kept:1")).startswith("sha256:")
        assert await api.docker("inspect", "-f", "{{.RepoTags}}", "kept:1") == "[kept:1]"
        assert await api.docker("rm", "asked") == "asked"
        assert "Untagged: kept:1" in await api.docker("rmi", "kept:1")


async def test_one_socket_serves_swarm_and_engine(engine: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("service", "create", "-d", "--name", "web", "--no-resolve-image", "nginx:1")
        assert await api.docker("inspect", "-f", "{{.Spec.Name}}", "web") == "web"
        assert await api.docker("inspect", "-f", "{{.Architecture}}", IMAGE) != ""
        await api.docker("volume", "create", "vol")
        assert await api.docker("inspect", "-f", "{{.Driver}}", "vol") == "local"
        await api.docker("volume", "rm", "vol")
        assert "no such object: nope" in (await api.docker("inspect", "nope", code=1)).lower()


async def test_events_of_the_engine_and_of_the_swarm_are_told_in_order(engine: Path) -> None:
    async with before_engine(engine) as api:
        began = f"{time.time():.6f}"
        words = ("events", "--since", began, "--format", "{{.Type}} {{.Action}}")
        of_both = ("--filter", "type=volume", "--filter", "type=config")
        told = ["volume create", "config create", "volume destroy", "config remove"]
        for number in range(2):
            await api.docker("volume", "create", f"v{number}")
            await api.docker("config", "create", f"c{number}", "-", stdin="x")
            await api.docker("volume", "rm", f"v{number}")
            await api.docker("config", "rm", f"c{number}")
            past = await api.docker(*words, *of_both, "--until", f"{time.time():.6f}")
            assert past.splitlines() == told * (number + 1)
        ours = await api.docker(*words, "--until", f"{time.time():.6f}", "--filter", "scope=swarm", *of_both)
        assert ours.splitlines() == ["config create", "config remove"] * 2
        theirs = await api.docker(*words, "--until", f"{time.time():.6f}", "--filter", "type=volume")
        assert theirs.splitlines() == ["volume create", "volume destroy"] * 2


async def test_events_of_both_are_told_as_they_happen(engine: Path) -> None:
    async with before_engine(engine) as api, api.http.get("http://skep/events") as answer:
        await api.docker("volume", "create", "vol")
        assert json.loads(await answer.content.readline())["Type"] == "volume"
        await api.docker("config", "create", "c", "-", stdin="x")
        assert json.loads(await answer.content.readline())["Type"] == "config"
        await api.docker("volume", "rm", "vol")
        assert json.loads(await answer.content.readline())["Action"] == "destroy"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1.41/containers/nope/json"),
        ("POST", "/v1.41/containers/nope/start"),
        ("POST", "/containers/nope/start"),
        ("GET", "/v1.41/containers/json?filters=nonsense"),
        ("DELETE", "/v1.41/images/nope:1"),
        ("GET", "/v1.44/containers/json"),
        ("POST", "/v1.41/containers/create"),
        ("GET", "/v1.41/nothing/of/the/kind"),
        ("HEAD", "/v1.41/containers/nope/archive?path=/"),
    ],
)
async def test_errors_of_the_engine_are_told_as_it_says_them(engine: Path, method: str, path: str) -> None:
    async with before_engine(engine) as api:
        here = await api.ask(method, path)
        connector = aiohttp.UnixConnector(str(engine))
        async with aiohttp.ClientSession(connector=connector) as http:
            there = await Served(api.cluster, engine, http).ask(method, path)
        assert here == there
        assert here[0] >= 400


async def test_paths_of_the_swarm_are_never_the_engines(engine: Path) -> None:
    async with before_engine(engine) as api:
        for path in ("/v1.41/services/web/bogus", "/v1.41/swarm/init", "/skep/bogus"):
            assert await api.ask("GET", path) == (404, {"message": "page not found"})


async def test_what_is_spoken_is_what_both_speak(engine: Path) -> None:
    spoken = engine_says(engine, "version", "--format", "{{.Server.APIVersion}}")
    async with before_engine(engine) as api:
        async with api.http.head("http://skep/_ping") as ping:
            assert ping.headers["Api-Version"] == spoken
            assert ping.headers["Server"].startswith("skep/")
        assert await api.docker("version", "--format", "{{.Server.APIVersion}}") == spoken
        version = await api.get("/version")
        assert version["ApiVersion"] == spoken
        assert version["Version"] == engine_says(engine, "version", "--format", "{{.Server.Version}}")
        assert version["Components"][0]["Details"]["ApiVersion"] == spoken
        assert "skep" in [component["Name"] for component in version["Components"]]
        async with api.http.get("http://skep/services") as services:
            assert services.headers["Api-Version"] == spoken


async def test_info_is_the_engines_with_the_swarm_of_skep(engine: Path) -> None:
    async with before_engine(engine) as api:
        info = await api.get("/info")
        assert info["ID"] == engine_says(engine, "info", "--format", "{{.ID}}")
        assert info["Driver"]
        assert (info["Swarm"]["LocalNodeState"], info["Swarm"]["ControlAvailable"]) == ("active", True)
        assert info["Swarm"]["NodeID"] == api.cluster.node_id
        assert engine_says(engine, "info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"


async def test_files_are_copied_in_and_out(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(content := os.urandom(3_000_000))
    async with before_engine(engine) as api:
        container = await api.docker("create", "--network", "none", IMAGE, "true")
        await api.docker("cp", str(tmp_path / "in"), f"{container}:/in")
        await api.docker("cp", f"{container}:/in", str(tmp_path / "out"))
        await api.docker("rm", container)
    assert (tmp_path / "out").read_bytes() == content


async def test_images_are_saved_and_loaded(engine: Path, tmp_path: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("tag", IMAGE, "saved:1")
        await api.docker("save", "-o", str(tmp_path / "image"), "saved:1")
        assert (tmp_path / "image").stat().st_size > 500_000
        await api.docker("rmi", "saved:1")
        assert "Loaded image: saved:1" in await api.docker("load", "-i", str(tmp_path / "image"))
        await api.docker("rmi", "saved:1")


async def test_the_classic_builder_builds(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY large /large\nRUN wc -c < /large > /size\n")
    (tmp_path / "large").write_bytes(os.urandom(8_000_000))
    async with before_engine(engine) as api:
        words = ("build", "--network", "none", "-t", "classic:1", str(tmp_path))
        await _docker(DOCKER_WITHOUT_BUILDX, api.path, *words, DOCKER_BUILDKIT="0")
        assert await api.docker(*RUN, "--rm", "classic:1", "cat", "/size") == "8000000"


async def test_buildkit_builds_over_its_session(engine: Path, tmp_path: Path) -> None:
    if DOCKER_WITHOUT_BUILDX is None:
        pytest.skip("no docker client that has BuildKit built in (Debian's docker.io of version 20.10)")
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY large /large\nRUN wc -c < /large > /size\n")
    (tmp_path / "large").write_bytes(os.urandom(8_000_000))
    async with before_engine(engine) as api:
        words = ("build", "--network", "none", "-t", "kit:1", str(tmp_path))
        told = await _docker(DOCKER_WITHOUT_BUILDX, api.path, *words, DOCKER_BUILDKIT="1")
        assert "transferring context: 8.0" in told
        assert await api.docker(*RUN, "--rm", "kit:1", "cat", "/size") == "8000000"


def _with_buildkit() -> str | None:
    """Return a client that speaks to BuildKit by itself: those after 20.10 need a plugin for it."""
    for path in ("/usr/bin/docker", shutil.which("docker") or ""):
        if (
            Path(path).is_file()
            and " 20.10." in subprocess.run([path, "--version"], check=False, capture_output=True, text=True).stdout
        ):
            return path
    return None


DOCKER_WITHOUT_BUILDX = _with_buildkit()


async def _docker(client: str | None, path: Path, *words: str, **env: str) -> str:
    process = await asyncio.create_subprocess_exec(
        client or "docker",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"DOCKER_HOST": f"unix://{path}", "DOCKER_CONFIG": "/nowhere", "HOME": "/nowhere"} | env,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_python_sdk_works_on_containers_images_and_volumes(engine: Path) -> None:
    async with before_engine(engine) as api:
        await asyncio.to_thread(_walk, api.path)


def _walk(path: Path) -> None:
    client = docker.DockerClient(base_url=f"unix://{path}", version="auto")
    try:
        container = client.containers.run(IMAGE, ["sleep", "100"], detach=True, network_mode="none")
        assert container.exec_run(["echo", "hi"]).output == b"hi\n"
        assert container.exec_run(["sh", "-c", "echo a; echo b >&2"], demux=True).output == (b"a\n", b"b\n")
        _, connection = container.exec_run(["cat"], stdin=True, socket=True)
        connection._sock.sendall(b"through\n")
        connection._sock.shutdown(socket.SHUT_WR)
        assert b"through\n" in connection.read()
        connection._sock.close()
        connection.close()
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"))
        assert container.put_archive("/", content.getvalue())
        parts, stat = container.get_archive("/empty")
        assert stat["name"] == "empty"
        assert b"".join(parts)
        container.remove(force=True)
        volume = client.volumes.create("of-sdk")
        assert "of-sdk" in [one.name for one in client.volumes.list()]
        volume.remove()
        assert client.df()["Images"]
        assert b"".join(client.images.get(IMAGE).save())
        # the same connections serve what is skep's
        assert client.services.list() == []
        assert client.swarm.attrs["ID"]
    finally:
        client.close()
