"""Streams: what follows, what ends it, and that nothing is left of it."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from docker_harness import Served, served, until
from skep.model.ids import Instant, NodeId, ServiceId, TaskId
from skep.ports.lines import Line, Stream
from skep.ports.link import LineOptions, LineSelector, PublishedLine
from skep.runtime.simulated import Behaviour, Printed, SimulatedExecutor
from skep.runtime.sources import SystemClock
from skep_adapters.docker_api import DockerApi
from skep_adapters.docker_api.stream import frame

PRINTER = Behaviour(
    lines=(
        Printed("out"),
        Printed("err", stream=Stream.STDERR),
        *(Printed(f"later {number}", after_s=0.5 + number / 10) for number in range(20)),
    )
)
SILENCE = PublishedLine(TaskId(""), ServiceId(""), NodeId(""), Line(Instant(0), Stream.STDOUT, b""))
SERVICE = {"Name": "talk", "TaskTemplate": {"ContainerSpec": {"Image": "printer"}}}
TTY = {"Name": "talk", "TaskTemplate": {"ContainerSpec": {"Image": "printer", "TTY": True}}}


def executor(_name: str, _number: int) -> SimulatedExecutor:
    return SimulatedExecutor(PRINTER, clock=SystemClock())


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, length = struct.unpack(">BxxxI", data[:8])
        found.append((stream, data[8 : 8 + length]))
        data = data[8 + length :]
    return found


async def started(api: Served, body: Any) -> None:
    status, _ = await api.ask("POST", "/services/create", body)
    assert status == 201
    await api.cluster.converged("talk")


def test_a_frame_is_a_head_of_eight_bytes_and_the_line() -> None:
    assert frame(Stream.STDERR, b"hello\n") == b"\x02\0\0\0\0\0\0\x06hello\n"


async def test_lines_come_in_frames_of_their_stream() -> None:
    async with served(executor=executor) as api:
        await started(api, SERVICE)

        async def printed() -> bool:
            return len(frames((await api.ask("GET", "/services/talk/logs?stdout=1&stderr=1"))[1])) >= 2

        await until(printed)
        async with api.http.get("http://skep/v1.41/services/talk/logs?stdout=1&stderr=1") as answer:
            assert "Content-Type" not in answer.headers
            assert frames(await answer.read())[:2] == [(1, b"out\n"), (2, b"err\n")]
        _, only = await api.ask("GET", "/services/talk/logs?stderr=1")
        assert frames(only) == [(2, b"err\n")]
        _, none = await api.ask("GET", "/services/talk/logs?stdout=1&since=2524608000.000000000")
        assert none == b""


async def test_details_say_whose_line_it_is() -> None:
    async with served(executor=executor) as api:
        await started(api, SERVICE)
        (task,) = await api.get("/tasks")

        async def printed() -> bool:
            return b"err" in (await api.ask("GET", f"/tasks/{task['ID']}/logs?stderr=1"))[1]

        await until(printed)
        _, data = await api.ask("GET", f"/tasks/{task['ID']}/logs?stderr=1&details=1&timestamps=1")
        ((_, line),) = frames(data)
        at, details, text = line.decode().split(" ")
        assert (len(at), at[-1], text) == (30, "Z", "err\n")
        assert details == (
            f"com.docker.swarm.node.id={task['NodeID']},com.docker.swarm.service.id={task['ServiceID']},"
            f"com.docker.swarm.task.id={task['ID']}"
        )


async def test_a_terminals_lines_come_raw() -> None:
    async with served(executor=executor) as api:
        await started(api, TTY)

        async def printed() -> bool:
            return (await api.ask("GET", "/services/talk/logs?stdout=1"))[1].startswith(b"out\n")

        await until(printed)


async def test_followed_lines_come_while_they_are_printed() -> None:
    async with served(executor=executor) as api:
        await started(api, SERVICE)
        async with api.http.get("http://skep/services/talk/logs?stdout=1&follow=1") as answer:
            seen = b""
            async with asyncio.timeout(20):
                while b"later 2\n" not in seen:
                    seen += await answer.content.readany()


class Silent:
    """A cluster whose tasks print nothing, and that notes whether somebody still listens."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def lines(self, _selector: LineSelector, _options: LineOptions) -> AsyncIterator[PublishedLine]:
        self.opened.set()
        try:
            await asyncio.Event().wait()
            yield SILENCE
        finally:
            self.closed.set()


class Labelled(Silent):
    """A cluster of whose lines a log driver says something."""

    async def lines(self, _selector: LineSelector, _options: LineOptions) -> AsyncIterator[PublishedLine]:
        line = Line(Instant(0), Stream.STDOUT, b"out\n")
        yield PublishedLine(TaskId("t"), ServiceId("s"), NodeId("n"), line, (("z", "a b,c"), ("A=", "1")))


async def test_details_show_what_a_log_driver_adds_in_order_of_names_and_quoted() -> None:
    async with served() as api:
        await started(api, SERVICE)
        path = api.path.with_name("labelled.sock")
        async with (
            DockerApi(Labelled(api.cluster)).serve_unix(path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
            http.get("http://skep/services/talk/logs?stdout=1&details=1") as answer,
        ):
            whose = b"com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t"
            assert frames(await answer.read()) == [(1, b"A%3D=1," + whose + b",z=a+b%2Cc out\n")]


async def test_a_client_that_goes_away_ends_its_stream_even_if_nothing_is_printed() -> None:
    async with served() as api:
        await started(api, SERVICE)
        silent = Silent(api.cluster)
        path = api.path.with_name("silent.sock")
        async with DockerApi(silent).serve_unix(path):
            _, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"GET /services/talk/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: skep\r\n\r\n")
            async with asyncio.timeout(10):
                await silent.opened.wait()
                writer.close()
                await silent.closed.wait()


async def test_closing_the_server_ends_every_stream_at_once() -> None:
    async with served() as api:
        path = api.path.with_name("second.sock")
        async with DockerApi(api.cluster).serve_unix(path):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"GET /events HTTP/1.1\r\nHost: skep\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            began = time.monotonic()
        assert time.monotonic() - began < 2
        writer.close()


async def test_events_are_objects_of_swarm_scope() -> None:
    async with served() as api:
        await started(api, SERVICE)
        _, data = await api.ask("GET", f'/events?since=0&until={int(time.time()) + 1}&filters={{"type":["service"]}}')
        first = data if isinstance(data, dict) else json.loads(data.splitlines()[0])
        assert first["Actor"]["Attributes"] == {"name": "talk"}
        assert (first["Type"], first["Action"], first["scope"]) == ("service", "create", "swarm")
        assert first["timeNano"] // 10**9 == first["time"]


async def test_a_filter_by_name_lets_through_whatever_is_called_so_or_begins_so() -> None:
    async with served() as api:
        await started(api, SERVICE)
        for name in ("talks", "other"):
            await api.ask("POST", "/configs/create", {"Name": name, "Data": "eA=="})
        now = f"{time.time():.6f}"
        for filters, kinds in (
            ('{"service":["talk"],"event":["create"]}', ["service", "config"]),
            ('{"config":["talks"]}', ["config"]),
            ('{"label":["name=other"]}', ["config"]),
        ):
            async with api.http.get(f"http://skep/events?since=0&until={now}&filters={filters}") as answer:
                told = [json.loads(line) for line in (await answer.read()).splitlines()]
            assert [each["Type"] for each in told] == kinds


@pytest.mark.parametrize("filters", ['{"scope":["local"]}', '{"type":["container"]}', '{"image":["nginx"]}'])
async def test_there_are_no_events_of_containers(filters: str) -> None:
    async with served() as api:
        assert (await api.ask("GET", f"/events?since=0&until=1&filters={filters}"))[0] == 200
