"""Networks of the swarm that the machine's engine has as well, since tasks of the machine are on them.

The engine is a stand-in: one with tasks takes a whole swarm.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from docker_harness import Served
from engine_harness import before_engine


@asynccontextmanager
async def before_engine_with(folder: Path, *networks: dict[str, str]) -> AsyncIterator[Served]:
    """Run skep in front of an engine that has these networks, which all filters of it let through."""
    engine = web.Application()

    async def listed(_: web.Request) -> web.Response:
        return web.json_response(networks)

    engine.router.add_get("/{version}/networks", listed)
    engine.router.add_get("/networks", listed)
    runner = web.AppRunner(engine)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "docker.sock")).start()
        async with before_engine(folder / "docker.sock") as api:
            yield api
    finally:
        await runner.cleanup()


HALF = {"Name": "gone", "Id": "g" * 25, "Scope": "swarm"}
LOCAL = {"Name": "lan", "Id": "f" * 64, "Scope": "local"}


async def test_what_only_the_engine_finds_of_the_swarms_networks_is_listed_with_its_own(tmp_path: Path) -> None:
    """It takes names for patterns, and has what was removed until the last container has left (scenario 16)."""
    async with before_engine_with(tmp_path, HALF, LOCAL) as api:
        listed = await api.get('/networks?filters={"name":["^gone$"]}')
        assert [network["Name"] for network in listed] == ["gone", "lan"]
        listed = await api.get("/networks")
        assert [network["Name"] for network in listed] == ["ingress", "gone", "lan"]


async def test_what_both_find_is_listed_once(tmp_path: Path) -> None:
    half = dict(HALF)
    async with before_engine_with(tmp_path, half) as api:
        (ingress,) = (network for network in await api.get("/networks") if network["Name"] == "ingress")
        half["Id"], half["Name"] = ingress["Id"], "ingress"
        assert [network["IPAM"]["Driver"] for network in await api.get("/networks")] == ["default"]
