"""Networks of both: the swarm's by skep, those of one machine by the Docker Engine."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from docker_harness import served
from engine_harness import before_engine, engine_says


async def test_lists_hold_both(engine: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("network", "create", "-d", "overlay", "over")
        networks = {network["Name"]: network for network in await api.get("/networks")}
        assert {"host", "none", "ingress", "over"} <= networks.keys()
        assert [networks[name]["Scope"] for name in ("host", "over")] == ["local", "swarm"]
        listed = await api.docker("network", "ls", "--filter", "scope=local", "--format", "{{.Name}}")
        assert {"host", "none"} <= set(listed.split())
        assert "over" not in listed.split()
        assert await api.docker("network", "ls", "-q", "--no-trunc", "--filter", "name=over") == networks["over"]["Id"]
        status, answer = await api.ask("GET", '/v1.41/networks?filters={"bogus":["1"]}')
        assert (status, answer["message"]) == (400, "Invalid filter 'bogus'")


async def test_the_driver_says_whose_a_new_network_is(engine: Path) -> None:
    async with before_engine(engine) as api:
        ours = await api.docker("network", "create", "--driver", "overlay", "over")
        theirs = await api.docker("network", "create", "--config-only", "local")
        try:
            assert (len(ours), len(theirs)) == (25, 64)
            assert await api.docker("inspect", "-f", "{{.Scope}}", "over") == "swarm"
            assert await api.docker("inspect", "-f", "{{.Scope}}", "local") == "local"
            assert await api.docker("network", "inspect", "-f", "{{.Id}}", theirs[:12]) == theirs
            assert await api.docker("network", "inspect", "-f", "{{.Id}}", ours[:12]) == ours
            assert "over" not in engine_says(engine, "network", "ls", "--format", "{{.Name}}").split()
            status, answer = await api.ask("POST", "/networks/create", {"Name": "over", "Driver": "bridge"})
            assert (status, answer["message"]) == (409, "network with name over already exists")
            assert "not found" in await api.docker("network", "inspect", "nope", code=1)
        finally:
            await api.docker("network", "rm", "local")
        await api.docker("network", "rm", "over")
        assert "local" not in engine_says(engine, "network", "ls", "--format", "{{.Name}}").split()


JSON = {"Content-Type": "application/json"}
CONFIGURED = {"Driver": "macvlan", "ConfigFrom": {"Network": "conf"}}


@pytest.mark.parametrize(
    "own",
    [
        {"IPAM": {"Config": [{"Subnet": "10.66.0.0/24"}]}},
        {"IPAM": {"Driver": "default", "Options": {"a": "b"}}},
        {"EnableIPv6": True},
        {"Labels": {"a": "b"}},
        {"Options": {"parent": "eth0"}},
        {"IPAM": {"Driver": "bogus"}, "Options": {"parent": "eth0"}},
    ],
)
async def test_settings_beside_another_networks_configuration_are_refused_as_by_an_engine(
    engine: Path, own: dict[str, Any]
) -> None:
    async with before_engine(engine) as api:
        theirs = await api.ask("POST", "/networks/create", {"Name": "mv", **CONFIGURED, **own}, **JSON)
        assert theirs[0] == 403
        ours = await api.ask("POST", "/networks/create", {"Name": "mv", **CONFIGURED, **own, "Scope": "swarm"})
        assert ours == theirs


async def test_a_network_of_the_swarm_may_be_configured_by_one_of_the_machine(engine: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("network", "create", "--config-only", "conf")
        try:
            made = await api.docker(
                "network", "create", "-d", "macvlan", "--scope", "swarm", "--config-from", "conf", "mv"
            )
            assert len(made) == 25
            assert await api.docker("network", "inspect", "-f", "{{.ConfigFrom.Network}}", "mv") == "conf"
            # a configuration is one machine's, whatever it is for
            body = {"Name": "conf2", "Driver": "overlay", "ConfigOnly": True, "Scope": "swarm"}
            status, answer = await api.ask("POST", "/networks/create", body, **JSON)
            assert (status, "configuration network can only contain" in answer["message"]) == (403, True)
        finally:
            await api.docker("network", "rm", "conf")


async def test_the_beginning_of_an_id_gives_way_to_a_name(engine: Path) -> None:
    async with before_engine(engine) as api:
        ours = await api.docker("network", "create", "--driver", "overlay", "over")
        theirs = await api.docker("network", "create", "--config-only", ours[:4])
        try:
            assert await api.docker("network", "inspect", "-f", "{{.Id}}", ours[:4]) == theirs
            assert await api.docker("network", "inspect", "-f", "{{.Id}}", ours[:5]) == ours
        finally:
            await api.docker("network", "rm", ours[:4])
        assert await api.docker("network", "inspect", "-f", "{{.Id}}", ours[:4]) == ours


async def test_containers_are_connected_by_the_engine(engine: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("network", "create", "--internal", "local")
        container = await api.docker("create", "--network", "local", "bb:1", "true")
        try:
            await api.docker("network", "disconnect", "local", container)
            await api.docker("network", "connect", "local", container)
            assert "local" in await api.docker("inspect", "-f", "{{.NetworkSettings.Networks}}", container)
        finally:
            await api.docker("rm", container)
        assert "local" in await api.docker("network", "prune", "-f")


async def test_a_network_that_was_removed_is_shown_while_the_engine_has_it_and_cannot_be_removed_again(
    tmp_path: Path,
) -> None:
    network = {"Name": "over", "Id": "o" * 25, "Scope": "swarm", "Driver": "overlay"}

    async def networks(_request: web.Request) -> web.Response:
        return web.json_response([network, {"Name": "ingress", "Id": known[0], "Scope": "swarm"}])

    async def one(_request: web.Request) -> web.Response:
        return web.json_response(network)

    application = web.Application()
    application.router.add_get("/networks", networks)
    application.router.add_get("/networks/{ref}", one)
    runner, path = web.AppRunner(application), tmp_path / "engine.sock"
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        async with before_engine(path) as api:
            known = [await api.cluster.engine.writer.read(lambda state: str(state.ingress_id))]
            assert [one["Name"] for one in await api.get("/networks")] == ["ingress", "over"]
            words = f"network {network['Id']} not found"
            assert await api.ask("DELETE", "/networks/over") == (500, {"message": words})
    finally:
        await runner.cleanup()


async def test_without_a_swarm_networks_are_the_engines(engine: Path) -> None:
    async with before_engine(engine, init=False) as api:
        assert {"host", "none"} == {network["Name"] for network in await api.get("/networks")}
        assert (await api.get("/networks/host"))["Scope"] == "local"
        over = {"Name": "over", "Driver": "overlay"}
        status, answer = await api.ask("POST", "/networks/create", over, **{"Content-Type": "application/json"})
        assert status == 500  # as recorded in scenario 01; the engine's own words
        assert "not a swarm manager" in answer["message"]


async def test_without_an_engine_there_are_only_the_swarms() -> None:
    async with served() as api:
        assert [one["Name"] for one in await api.get("/networks")] == ["ingress"]
        assert (await api.get("/networks/host"))["Scope"] == "swarm"
