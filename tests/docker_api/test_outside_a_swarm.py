"""While skep has no swarm its machine's engine answers for swarms: it may join one, and be in one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from engine_harness import before_engine

JSON = {"Content-Type": "application/json"}
BEGIN = {"ListenAddr": "127.0.0.1:2377"}


@asynccontextmanager
async def engine_in(path: Path, swarm: dict[str, str]) -> AsyncIterator[list[str]]:
    """Run what answers as an engine that is in `swarm`; yield what it is asked for."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        body = (await request.read()).decode()
        asked.append(f"{request.method} {request.path_qs} {body}".strip())
        if request.path == "/info":
            return web.json_response({"Swarm": swarm})
        return web.json_response({"message": f"it is the engine that answers {request.path}"}, status=503)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/swarm", "/nodes/x", "/services", "/tasks", "/secrets", "/configs/x", "/networks"])
async def test_outside_a_swarm_the_engine_is_asked(path: str, tmp_path: Path) -> None:
    async with engine_in(tmp_path / "engine", {}), before_engine(tmp_path / "engine", init=False) as api:
        assert await api.ask("GET", path) == (503, {"message": f"it is the engine that answers {path}"})


async def test_outside_a_swarm_it_is_the_engine_that_joins_one(tmp_path: Path) -> None:
    async with engine_in(tmp_path / "engine", {}) as asked, before_engine(tmp_path / "engine", init=False) as api:
        for path in ("/swarm/join", "/swarm/leave?force=1", "/swarm/unlock"):
            await api.ask("POST", path, '{"a":1}', **JSON)
            assert asked[-1] == f'POST {path} {{"a":1}}'


async def test_in_a_swarm_of_skeps_the_engine_is_not_asked(tmp_path: Path) -> None:
    async with engine_in(tmp_path / "engine", {}) as asked, before_engine(tmp_path / "engine") as api:
        await api.get("/services")
        status, _ = await api.ask("POST", "/swarm/join", BEGIN)
        assert (status, asked) == (503, [])


async def test_no_swarm_begins_while_the_engine_is_in_another_one(tmp_path: Path) -> None:
    there = {"NodeID": "x", "LocalNodeState": "active"}
    async with engine_in(tmp_path / "engine", there), before_engine(tmp_path / "engine", init=False) as api:
        assert (await api.get("/info"))["Swarm"] == there
        status, answer = await api.ask("POST", "/swarm/init", BEGIN)
        assert status == 503
        assert answer["message"].startswith("This node is already part of a swarm.")


async def test_an_engine_that_is_not_there_leaves_the_answer_to_skep(tmp_path: Path) -> None:
    async with before_engine(tmp_path / "nobody", init=False) as api:
        status, answer = await api.ask("GET", "/services")
        assert (status, answer["message"][:33]) == (503, "This node is not a swarm manager.")
        assert await api.ask("POST", "/swarm/leave") == (503, {"message": "This node is not part of a swarm"})
        status, node_id = await api.ask("POST", "/swarm/init", BEGIN)
        assert (status, node_id) == (200, api.cluster.node_id)
