"""What removes the networks that nobody uses, in the swarm and on the machine."""

from pathlib import Path
from typing import Any

import pytest
from docker_harness import Served, served
from engine_harness import before_engine, engine_says

IMAGE = {"ContainerSpec": {"Image": "demo"}}


async def make(api: Served, *names: str, **said: Any) -> None:
    for name in names:
        assert (await api.ask("POST", "/networks/create", {"Name": name, "Driver": "overlay"} | said))[0] == 201


async def prune(api: Served, filters: str = "") -> Any:
    status, answer = await api.ask("POST", "/networks/prune" + (f"?filters={filters}" if filters else ""))
    assert status == 200, answer
    return answer["NetworksDeleted"]


async def left(api: Served) -> list[str]:
    return sorted(one["Name"] for one in await api.get("/networks") if one["Scope"] == "swarm")


async def test_what_is_used_stays_and_so_does_what_is_nobodys_to_make() -> None:
    async with served() as api:
        await make(api, "used", "one", "other")
        await make(api, "held", Attachable=True)
        task = IMAGE | {"Networks": [{"Target": "used"}]}
        await api.ask("POST", "/services/create", {"Name": "web", "TaskTemplate": task})
        (node,) = await api.get("/nodes")
        await api.cluster.engine.attaching.attach(node["ID"], "held", "1ce4", ())
        assert sorted(await prune(api)) == ["one", "other"]
        assert await left(api) == ["held", "ingress", "used"]
        assert (await api.get("/networks/host"))["Name"] == "host"
        assert await prune(api) is None


@pytest.mark.parametrize(
    ("filters", "gone"),
    [
        ('{"label":["a"]}', ["one", "two"]),
        ('{"label":["a=2"]}', ["two"]),
        ('{"label!":["a=2"]}', ["bare", "one"]),
        ('{"until":["1h"]}', None),
        ('{"until":["2020-01-01"]}', None),
        ('{"until":["2020-01-01T00:00:00Z"]}', None),
        ('{"until":["1600000000.5"]}', None),
        ('{"until":{"0s":true}}', ["bare", "one", "two"]),
        ('{"until":["9999-01-01T00:00:00Z"],"label":["a"]}', ["one", "two"]),
    ],
)
async def test_filters_say_what_may_go(filters: str, gone: list[str] | None) -> None:
    async with served() as api:
        await make(api, "bare")
        await make(api, "one", Labels={"a": "1"})
        await make(api, "two", Labels={"a": "2"})
        names = await prune(api, filters)
        assert (sorted(names) if names else names) == gone


@pytest.mark.parametrize(
    ("filters", "status", "words"),
    [
        ('{"name":["one"]}', 400, "Invalid filter 'name'"),
        ('{"until":["soon"]}', 500, 'failed to parse value as time or duration: "soon"'),
        ('{"until":["1h","2h"]}', 500, "more than one until filter specified"),
    ],
)
async def test_what_cannot_be_understood_removes_nothing(filters: str, status: int, words: str) -> None:
    async with served() as api:
        await make(api, "one")
        assert await api.ask("POST", f"/networks/prune?filters={filters}") == (status, {"message": words})
        assert await left(api) == ["ingress", "one"]


async def test_outside_a_swarm_there_is_nothing_to_remove() -> None:
    async with served(init=False) as api:
        assert await prune(api) is None


async def test_both_are_removed_with_one_answer_the_swarms_first(engine: Path) -> None:
    async with before_engine(engine) as api:
        await make(api, "over")
        await api.docker("network", "create", "--internal", "local")
        said = await api.docker("network", "prune", "-f")
        assert said.split() == ["Deleted", "Networks:", "over", "local"]
        assert await left(api) == ["ingress"]
        assert "local" not in engine_says(engine, "network", "ls", "--format", "{{.Name}}").split()


async def test_where_the_engine_does_not_answer_nothing_is_removed(tmp_path: Path) -> None:
    async with before_engine(tmp_path / "nobody.sock") as api:
        await make(api, "over")
        status, answer = await api.ask("POST", "/networks/prune")
        assert (status, "cannot connect to the Docker Engine" in answer["message"]) == (503, True)
        assert await left(api) == ["ingress", "over"]
