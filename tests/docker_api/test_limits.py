"""Clients that are slow, or mean it: none of them holds up another, and none takes more than its share."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from docker_harness import until
from skep.core.changes import Change
from skep.model.ids import Instant, Position
from skep.model.secret import ConfigSpec
from skep.runtime import watching
from skep.runtime.cluster import Cluster
from skep_adapters.docker_api import DockerApi, call, connections
from structlog.testing import capture_logs

#: For whatever a busy machine needs.
PATIENCE_S = 30

ASK = "{} {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"


class Client(NamedTuple):
    """A connection that sends what it is told to, byte by byte if need be."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, method: str, path: str, **headers: str) -> None:
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.writer.write(ASK.format(method, path, fields).encode())

    async def head(self) -> bytes:
        """Return the head of an answer."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def ends(self) -> bytes:
        """Return all that comes until the other side closes."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.read()
        except ConnectionError:
            return b""


class Slow(NamedTuple):
    """A served cluster, and how one connects to it."""

    cluster: Cluster
    connect: Callable[[], Any]

    async def client(self) -> Client:
        return Client(*await self.connect())

    async def answers(self) -> bool:
        """Say whether another client is served."""
        client = await self.client()
        client.send("GET", "/info", Connection="close")
        try:
            head = await client.head()
            rest = await client.ends()
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            client.writer.close()
        return b" 200 " in head and b'"Swarm"' in rest


@asynccontextmanager
async def serving(kind: str, wrap: Callable[[Cluster], Any] = lambda cluster: cluster) -> AsyncIterator[Slow]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "skep.sock"
        async with Cluster.open() as cluster:
            api = DockerApi(wrap(cluster))
            if kind == "unix":
                async with api.serve_unix(path):
                    yield Slow(cluster, lambda: asyncio.open_unix_connection(path))
            else:
                async with api.serve_tcp("127.0.0.1", 0, None) as port:
                    yield Slow(cluster, lambda: asyncio.open_connection("127.0.0.1", port))


@pytest.fixture(params=["unix", "tcp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_head_that_drips_is_not_waited_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_HEAD_S", 0.3)
    async with serving(kind) as api:
        client = await api.client()
        client.writer.write(b"GET /info HTTP/1.1\r\nX: ")
        for _ in range(3):
            client.writer.write(b"x")
            await asyncio.sleep(0.05)
        assert await api.answers()
        assert await client.ends() == b""
        client.writer.close()


async def test_a_body_that_drips_is_not_waited_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "BODY_TIMEOUT_S", 0.3)
    async with serving(kind) as api:
        client = await api.client()
        client.send("POST", "/configs/create", Content_Length="1000")
        client.writer.write(b"{")
        assert await api.answers()
        assert b" 408 " in await client.head()
        client.writer.close()
        assert await api.answers()


async def test_an_answer_that_nobody_takes_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 0.5)
    async with serving(kind) as api:
        for number in range(8):
            await api.cluster.configs.create(ConfigSpec(name=f"c{number}", data=b"x" * 900_000))
        client = await api.client()
        client.send("GET", "/configs", Connection="close")
        with capture_logs() as told:
            assert await api.answers()
            await until(lambda: _true(bool(told)), timeout_s=PATIENCE_S)
        assert [each["event"] for each in told] == ["connection closed"]
        assert len(await client.ends()) < 8 * 900_000
        client.writer.close()

        patient = await api.client()
        patient.send("GET", "/configs", Connection="close")
        assert len(await patient.ends()) > 8 * 900_000
        patient.writer.close()


async def _true(value: bool) -> bool:
    return value


async def test_a_stream_that_nobody_reads_is_no_hurry_and_holds_up_nobody(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 0.2)
    async with serving(kind, Chatty) as api:
        client = await api.client()
        client.send("GET", "/events", Connection="close")
        await client.head()
        await asyncio.sleep(1)
        assert await api.answers()
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(1_000):
                size, event, _ = [await client.reader.readline() for _ in range(3)]
                assert int(size, 16) == len(event)
        client.writer.close()


class Wrapped:
    """A cluster of which something is otherwise."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


CHANGE = Change(Position(1), Instant(1), "config", "create", "id", {"name": "x" * 1000})


class Chatty(Wrapped):
    """A cluster in which more happens than anybody can read."""

    async def changes(self, **_: Any) -> AsyncIterator[Change]:
        while True:
            yield CHANGE
            await asyncio.sleep(0)


class Lagging(Wrapped):
    """A cluster that somebody could not follow."""

    async def changes(self, **_: Any) -> AsyncIterator[Change]:
        yield CHANGE
        raise watching.Lagging("more than 10000 changes behind")


async def test_who_missed_something_of_a_stream_sees_it_break_off(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(kind, Lagging) as api:
        client = await api.client()
        client.send("GET", "/events")
        await client.head()
        assert not (await client.ends()).endswith(b"0\r\n\r\n")
        client.writer.close()
        assert await api.answers()
    assert not caplog.records


async def test_one_user_has_so_many_connections_and_no_more(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_OF_ONE_MAX", 3)
    async with serving(kind) as api:
        held = [await api.client() for _ in range(3)]
        for each in held:
            each.send("GET", "/_ping")
            await each.head()
        assert not await api.answers()
        held[0].writer.close()
        await until(api.answers)
        for each in held:
            each.writer.close()


async def test_streams_leave_connections_to_ask_with(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STREAMS_OF_ONE_MAX", 2)
    async with serving(kind) as api:
        held = [await api.client() for _ in range(2)]
        for each in held:
            each.send("GET", "/events")
            assert b" 200 " in await each.head()
        third = await api.client()
        third.send("GET", "/events", Connection="close")
        assert b" 503 " in await third.head()
        said = json.loads(await third.ends())
        assert said == {"message": "2 streams are open already: end some of them first"}
        third.writer.close()
        assert await api.answers()
        held[0].writer.close()

        async def streams() -> bool:
            again = await api.client()
            again.send("GET", "/events")
            head = await again.head()
            again.writer.close()
            return b" 200 " in head

        await until(streams)
        held[1].writer.close()


async def test_who_expects_to_be_told_so_is_told_to_go_on(kind: str) -> None:
    body = b'{"Name": "c", "Data": "eA=="}'
    async with serving(kind) as api:
        client = await api.client()
        client.send("POST", "/configs/create", Expect="100-continue", Content_Length=str(len(body)))
        assert b" 100 Continue" in await client.head()
        client.writer.write(body)
        assert b" 201 " in await client.head()
        client.writer.close()


async def test_who_expects_anything_else_is_told_that_nobody_does_that(kind: str) -> None:
    async with serving(kind) as api:
        client = await api.client()
        client.send("GET", "/info", Expect="a miracle", Connection="close")
        assert b" 417 " in await client.head()
        client.writer.close()
