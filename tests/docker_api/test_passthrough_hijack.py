"""Connections that clients want for themselves, through to a real Docker Engine."""

import asyncio
import os
import pty
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from docker_harness import DOCKER, Served, until
from engine_harness import IMAGE, before_engine, connections_to, engine_says, wire

#: More than all buffers on the way hold.
LARGE = 24_000_000


@asynccontextmanager
async def container(api: Served, *words: str) -> AsyncIterator[str]:
    name = await api.docker("run", "-d", "--network", "none", *words)
    try:
        yield name
    finally:
        await api.docker("rm", "-f", name)


@asynccontextmanager
async def client(api: Served, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        DOCKER or "docker",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"DOCKER_HOST": f"unix://{api.path}", "DOCKER_CONFIG": str(api.path.parent), "HOME": "/nowhere"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_what_is_typed_reaches_a_command_and_its_end_too(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, IMAGE, "sleep", "100") as name:
        assert await api.docker("exec", "-i", name, "cat", stdin="through and back") == "through and back"
        assert await api.docker("exec", "-i", name, "wc", "-c", stdin="x" * 1_000_000) == "1000000"
        assert await api.docker("exec", "-i", name, "cat", stdin="") == ""
        assert await api.docker("exec", "-d", name, "true") == ""
        await api.docker("exec", name, "sh", "-c", "exit 7", code=7)
        again = await api.docker(
            "run", "-i", "--rm", "--network", "none", IMAGE, "sh", "-c", "cat; echo end", stdin="a\n"
        )
        assert again == "a\nend"


async def test_large_streams_go_both_ways_whole(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(content := os.urandom(LARGE))
    async with before_engine(engine) as api, container(api, IMAGE, "sleep", "100") as name:
        with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                DOCKER or "docker",
                *("-H", f"unix://{api.path}", "exec", "-i", name, "cat"),
                stdin=source,
                stdout=sink,
            )
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert (tmp_path / "out").read_bytes() == content


async def test_attaching_and_detaching_leave_the_container_running(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, "-i", IMAGE, "cat") as name:
        async with client(api, "attach", "--no-stdin", name) as watching, client(api, "attach", name) as typing:
            assert typing.stdin
            assert typing.stdout
            assert watching.stdout
            await until(lambda: _attached(engine, name, 2))
            typing.stdin.write(b"hello\n")
            assert await asyncio.wait_for(typing.stdout.readline(), 20) == b"hello\n"
            assert await asyncio.wait_for(watching.stdout.readline(), 20) == b"hello\n"
        assert engine_says(engine, "inspect", "-f", "{{.State.Running}}", name) == "true"


async def _attached(engine: Path, name: str, count: int) -> bool:
    # an engine does not say who is attached; its log of events does
    events = await asyncio.to_thread(
        engine_says,
        engine,
        *("events", "--since", "1", "--until", "0s", "--filter", f"container={name}", "--filter", "event=attach"),
    )
    return len(events.splitlines()) >= count


async def test_a_terminal_is_a_terminal_on_the_other_side(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, IMAGE, "sleep", "100") as name:
        ours, theirs = pty.openpty()
        try:
            process = await asyncio.create_subprocess_exec(
                DOCKER or "docker",
                *("-H", f"unix://{api.path}", "exec", "-it", name, "sh", "-c", "tty; stty size; read x; echo got-$x"),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env={"TERM": "dumb", "HOME": "/nowhere"},
            )
            os.write(ours, b"typed\n")
            assert await asyncio.wait_for(process.wait(), 20) == 0
            told = ""
            while "got-" not in told and select.select([ours], [], [], 5)[0]:
                told += os.read(ours, 4096).decode()
        finally:
            os.close(ours)
            os.close(theirs)
        assert "/dev/pts/0" in told
        assert "got-typed" in told


async def test_following_logs_ends_with_the_container_and_with_the_client(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, IMAGE, "sh", "-c", "echo one; sleep 100") as name:
        async with client(api, "logs", "-f", name) as leaving:
            assert leaving.stdout
            assert await asyncio.wait_for(leaving.stdout.readline(), 20) == b"one\n"
            assert connections_to(engine)
        await until(lambda: _answer(connections_to(engine) == 0))
        async with client(api, "logs", "-f", name) as staying:
            assert staying.stdout
            assert await asyncio.wait_for(staying.stdout.readline(), 20) == b"one\n"
            await api.docker("kill", name)
            assert await asyncio.wait_for(staying.wait(), 20) == 0


@pytest.mark.parametrize("upgrade", [True, False])
async def test_new_and_old_clients_get_the_connection(engine: Path, *, upgrade: bool) -> None:
    async with before_engine(engine) as api, container(api, IMAGE, "sleep", "100") as name:
        wanted = {"AttachStdin": True, "AttachStdout": True, "Cmd": ["cat"]}
        _, made = await api.ask(
            "POST", f"/v1.41/containers/{name}/exec", wanted, **{"Content-Type": "application/json"}
        )
        async with wire(api.path, _start(made["Id"], upgrade=upgrade)) as line:
            head = await line.head()
            assert head.startswith("HTTP/1.1 101 UPGRADED\r\n" if upgrade else "HTTP/1.1 200 OK\r\n")
            assert "application/vnd.docker.raw-stream" in head
            line.writer.write(b"x\n")
            assert await asyncio.wait_for(line.reader.readexactly(10), 20) == b"\x01\0\0\0\0\0\0\x02x\n"
            line.writer.write(b"last\n")
            line.writer.write_eof()
            # the other direction is open until the engine closes it: cat ends with its input
            assert await line.rest() == b"\x01\0\0\0\0\0\0\x05last\n"


def _start(exec_id: str, *, upgrade: bool) -> str:
    body = '{"Detach":false}'
    head = f"Host: d\nContent-Type: application/json\nContent-Length: {len(body)}\n"
    asked = "Connection: Upgrade\nUpgrade: tcp\n" if upgrade else ""
    return f"POST /v1.41/exec/{exec_id}/start HTTP/1.1\n{head}{asked}\n{body}"


@pytest.mark.parametrize("upgrade", [True, False])
async def test_a_refused_connection_is_told_and_closed(engine: Path, *, upgrade: bool) -> None:
    async with before_engine(engine) as api, wire(api.path, _start("nope", upgrade=upgrade)) as line:
        answer = await line.head()
        assert answer.startswith("HTTP/1.1 404 Not Found\r\n")
        assert "Connection: close" in answer
        assert b"No such exec instance" in await line.rest()


async def test_after_a_refusal_the_next_request_is_routed_anew(engine: Path) -> None:
    async with before_engine(engine) as api:
        status, answer = await api.ask("POST", "/v1.41/exec/nope/start", {}, **{"Content-Type": "application/json"})
        assert (status, answer["message"]) == (404, "No such exec instance: nope")
        assert await api.get("/services") == []


async def test_websockets_are_attached(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, "-i", IMAGE, "cat") as name:
        path = f"http://skep/v1.41/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1"
        async with api.http.ws_connect(path, headers={"Origin": "http://skep"}) as connection:
            await connection.send_str("hi\n")
            assert (await connection.receive(timeout=20)).data in ("hi\n", b"hi\n")


async def test_a_client_that_is_killed_leaves_no_connection_to_the_engine(engine: Path) -> None:
    async with before_engine(engine) as api, container(api, "-i", IMAGE, "cat") as name:
        async with client(api, "attach", name):
            await until(lambda: _answer(connections_to(engine) == 1))
        await until(lambda: _answer(connections_to(engine) == 0))


async def _answer(value: object) -> object:
    return value


async def test_closing_ends_what_is_joined(engine: Path) -> None:
    async with before_engine(engine) as api:
        name = await api.docker("run", "-d", "-i", "--network", "none", IMAGE, "cat")
        asked = "Connection: Upgrade\nUpgrade: tcp\n"
        request = f"POST /v1.41/containers/{name}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\nHost: d\n{asked}\n"
        reader, writer = await asyncio.open_unix_connection(str(api.path))
        writer.write(request.replace("\n", "\r\n").encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert connections_to(engine) == 0
    engine_says(engine, "rm", "-f", name)
