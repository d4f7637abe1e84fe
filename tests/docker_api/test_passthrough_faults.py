"""Engines that are not there, break off, or dawdle; clients that leave; bodies that are larger than any buffer.

A real engine does none of that when asked to, so these engines are sockets that do one thing.
"""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from docker_harness import until
from engine_harness import before_engine, wire

_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def crooked(path: Path, handler: _Handler) -> AsyncIterator[Path]:
    """Run an engine that treats every connection in one way."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(accept, path)
    try:
        yield path
    finally:
        server.close()
        await server.wait_closed()


async def test_an_engine_that_is_not_there_takes_nothing_from_the_swarm(tmp_path: Path) -> None:
    nobody = tmp_path / "docker.sock"
    why = f"cannot connect to the Docker Engine at unix://{nobody}: No such file or directory. Is it running?"
    async with before_engine(nobody) as api:
        for method, path in (("GET", "/containers/json"), ("POST", "/containers/x/attach"), ("GET", "/networks/host")):
            assert await api.ask(method, path) == (503, {"message": why})
        assert await api.get("/services") == []
        assert [network["Name"] for network in await api.get("/networks")] == ["ingress"]
        info = await api.get("/info")
        assert info["Swarm"]["LocalNodeState"] == "active"
        assert info["Warnings"] == [f"WARNING: {why}"]
        assert (await api.get("/version"))["ApiVersion"] == "1.44"
        assert await api.ask("GET", "/_ping") == (200, b"OK")


async def test_without_its_engine_the_swarms_events_are_told(tmp_path: Path) -> None:
    async with before_engine(tmp_path / "docker.sock") as api:
        await api.ask("POST", "/configs/create", {"Name": "c", "Data": "eA=="})
        filters = '{"type":["config"]}'
        async with api.http.get(f"http://skep/events?since=1&until={time.time():.6f}&filters={filters}") as answer:
            (told,) = (await answer.read()).splitlines()
        assert json.loads(told)["Action"] == "create"


async def test_an_engine_that_stops_telling_events_ends_the_clients(tmp_path: Path) -> None:
    async def tell_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
        await writer.drain()

    async with (
        crooked(tmp_path / "docker.sock", tell_one) as engine,
        before_engine(engine) as api,
        api.http.get("http://skep/events") as answer,
    ):
        assert await answer.content.readline() == b"{}\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_engine_that_hangs_up_is_told_with_502(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with crooked(tmp_path / "docker.sock", hang_up) as engine, before_engine(engine) as api:
        why = f"the Docker Engine at unix://{engine} closed the connection without an answer"
        assert await api.ask("GET", "/containers/json") == (502, {"message": why})
        assert await api.ask("POST", "/containers/x/attach") == (502, {"message": why})


@pytest.mark.parametrize("length", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_half_an_answer_is_not_taken_for_a_whole_one(tmp_path: Path, length: str) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n3\r\nabc\r\n".encode())
        await writer.drain()

    async with crooked(tmp_path / "docker.sock", half) as engine, before_engine(engine) as api:
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.ask("GET", "/images/get")


async def test_a_client_that_leaves_ends_the_request_at_the_engine(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def dawdle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b""
        ended.set()

    async with crooked(tmp_path / "docker.sock", dawdle) as engine, before_engine(engine) as api:
        async with wire(api.path, "POST /containers/x/wait HTTP/1.1\nHost: d\nContent-Length: 0\n\n"):
            await asyncio.sleep(0.1)
        await asyncio.wait_for(ended.wait(), 5)


async def test_closing_does_not_wait_for_an_engine_that_dawdles(tmp_path: Path) -> None:
    async def dawdle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with crooked(tmp_path / "docker.sock", dawdle) as engine:
        async with asyncio.timeout(4), before_engine(engine) as api:
            _, writer = await asyncio.open_unix_connection(str(api.path))
            writer.write(b"GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n")
            await asyncio.sleep(0.2)
        writer.close()


async def test_an_engine_that_hangs_does_not_hang_the_swarm(tmp_path: Path) -> None:
    async def dawdle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with crooked(tmp_path / "docker.sock", dawdle) as engine, before_engine(engine) as api:
        assert await asyncio.wait_for(api.docker("service", "ls", "-q"), 10) == ""


async def test_an_engine_may_answer_before_it_has_read_everything(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        await writer.drain()
        await reader.read(100_000)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    async with (
        crooked(tmp_path / "docker.sock", refuse) as engine,
        before_engine(engine) as api,
        api.http.post("http://skep/build", data=endless(), headers={"Connection": "close"}) as answer,
    ):
        assert (answer.status, await answer.text()) == (400, "no")


async def test_neither_side_is_read_faster_than_the_other_takes_it(tmp_path: Path) -> None:
    size, chunk = 400, b"x" * 1_000_000
    counted = 0

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal counted
        await reader.readuntil(b"\r\n\r\n")
        if counted == 0:
            while counted < size * len(chunk):
                counted += len(await reader.read(1_000_000))
                await asyncio.sleep(0)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(size):
            writer.write(chunk)
            await writer.drain()

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield chunk

    async with crooked(tmp_path / "docker.sock", mirror) as engine, before_engine(engine) as api:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        headers = {"Content-Length": str(size * len(chunk))}
        async with api.http.post("http://skep/images/load", data=upload(), headers=headers) as answer:
            await asyncio.sleep(0.5)  # what is not taken must not pile up meanwhile
            got = 0
            async for some in answer.content.iter_any():
                got += len(some)
        assert (counted, got) == (size * len(chunk), size * len(chunk))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


async def test_headers_of_one_connection_stay_behind(tmp_path: Path) -> None:
    heard: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        told = (
            "Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Docker-Container-Path-Stat: s\r\n"
        )
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{told}Server: Docker/1\r\nApi-Version: 1.41\r\n\r\nok".encode()
        )
        await writer.drain()

    sent = "Connection: X-Mine\nX-Mine: 1\nX-Registry-Auth: e30=\nTE: trailers\nUser-Agent: me\n"
    async with (
        crooked(tmp_path / "docker.sock", note) as engine,
        before_engine(engine) as api,
        wire(api.path, f"GET /v1.41/containers/a%2Fb/json?x=%7B%7D&y=1+2 HTTP/1.1\nHost: d\n{sent}\n") as line,
    ):
        answer = await line.head()
        assert "X-Docker-Container-Path-Stat: s" in answer
        assert "Server: Docker/1" in answer
        assert "Api-Version: 1.41" in answer
        assert "Content-Type" not in answer
        assert "X-Hop" not in answer
        assert "Keep-Alive" not in answer
    request, *fields = heard[0].split("\r\n")
    assert request == "GET /v1.41/containers/a%2Fb/json?x=%7B%7D&y=1+2 HTTP/1.1"
    assert sorted(field for field in fields if field) == [
        "Connection: close",
        "Host: d",
        "User-Agent: me",
        "X-Registry-Auth: e30=",
    ]


async def test_who_expects_to_be_told_to_go_on_is_told(tmp_path: Path) -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Expect" not in head
        assert await reader.readexactly(3) == b"abc"
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    request = "POST /images/load HTTP/1.1\nHost: d\nContent-Length: 3\nExpect: 100-continue\n\n"
    async with (
        crooked(tmp_path / "docker.sock", count) as engine,
        before_engine(engine) as api,
        wire(api.path, request) as line,
    ):
        assert await line.head() == "HTTP/1.1 100 Continue\r\n\r\n"
        line.writer.write(b"abc")
        assert (await line.head()).startswith("HTTP/1.1 204 No Content\r\n")


async def test_an_engine_that_came_back_is_asked_again(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.39\r\n\r\n[]")
        await writer.drain()

    async with before_engine(tmp_path / "docker.sock") as api:
        assert (await api.ask("GET", "/containers/json"))[0] == 503
        async with crooked(tmp_path / "docker.sock", answer):
            assert (await api.ask("GET", "/containers/json"))[0] == 200
            async with api.http.get("http://skep/services") as services:
                assert services.headers["Api-Version"] == "1.39"
        await until(lambda: _refused(api.path))


async def _refused(path: Path) -> bool:
    async with wire(path, "GET /containers/json HTTP/1.1\nHost: d\n\n") as line:
        return (await line.head()).startswith("HTTP/1.1 503 ")
