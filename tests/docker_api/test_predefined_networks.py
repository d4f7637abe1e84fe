"""The networks `host` and `bridge`, with an engine and without: as recorded in scenario 15, but for what is noted."""

from pathlib import Path
from typing import Any

import pytest
from docker_harness import DOCKER, served
from engine_harness import before_engine, engine_says

IMAGE = {"ContainerSpec": {"Image": "demo"}}

ONLY_THE_SWARMS = (
    "The network {} cannot be used with services. Only networks scoped to the swarm can be used, such as those created "
    "with the overlay driver."
)


def service(*targets: str) -> dict[str, Any]:
    return {
        "Name": "web",
        "TaskTemplate": IMAGE | {"Networks": [{"Target": target} for target in targets]},
        "EndpointSpec": {"Mode": "vip"},
    }


@pytest.mark.parametrize("name", ["host", "bridge"])
async def test_one_is_shown_as_recorded_where_the_swarms_is_asked_for(name: str) -> None:
    async with served() as api:
        shown = await api.get(f"/networks/{name}?scope=swarm")
        assert shown == await api.get(f"/networks/{shown['Id']}") == await api.get(f"/networks/{name}")
        assert len(shown.pop("Id")) == 25
        assert shown.pop("Created").endswith("Z")
        assert shown == {
            "Name": name,
            "Scope": "swarm",
            "Driver": name,
            "EnableIPv6": False,
            "IPAM": {"Driver": "", "Options": None, "Config": []},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": None,
            "Options": None,
            "Labels": {"com.docker.swarm.predefined": "true"},
        }


async def test_lists_leave_them_out() -> None:
    async with served() as api:
        assert [one["Name"] for one in await api.get("/networks")] == ["ingress"]
        assert await api.get('/networks?filters={"name":["host"]}') == []


async def test_a_service_on_one_is_shown_as_recorded() -> None:
    async with served() as api:
        assert (await api.ask("POST", "/services/create", service("host")))[0] == 201
        await api.cluster.converged("web")
        network = (await api.get("/networks/host"))["Id"]
        shown = await api.get("/services/web")
        assert shown["Spec"]["TaskTemplate"]["Networks"] == [{"Target": network}]
        assert shown["Endpoint"] == {"Spec": {"Mode": "vip"}, "VirtualIPs": [{"NetworkID": network}]}
        (task,) = await api.get("/tasks")
        (on,) = task["NetworksAttachments"]
        assert {*on} == {"Network"}
        for name in ("Version", "CreatedAt", "UpdatedAt"):
            assert on["Network"].pop(name)
        assert on["Network"] == {
            "ID": network,
            "Spec": {
                "Name": "host",
                "Labels": {"com.docker.swarm.predefined": "true"},
                "DriverConfiguration": {"Name": "host"},
                "Scope": "swarm",
            },
            "DriverState": {"Name": "host"},
            "IPAMOptions": {"Driver": {}},
        }


async def test_none_is_no_network_of_the_swarms() -> None:
    async with served() as api:
        not_found = {"message": "network none not found"}
        assert await api.ask("POST", "/services/create", service("none")) == (500, not_found)
        assert await api.ask("GET", "/networks/none?scope=swarm") == (404, not_found)


async def test_none_is_removed_by_name_or_id() -> None:
    """The words are those of daemon.deleteNetwork in moby; that it is not found by its id follows from the router."""
    async with served() as api:
        for name in ("host", "bridge", "none"):
            words = f"{name} is a pre-defined network and cannot be removed"
            assert await api.ask("DELETE", f"/networks/{name}") == (403, {"message": words})
        network = (await api.get("/networks/host"))["Id"]
        assert await api.ask("DELETE", f"/networks/{network}") == (404, {"message": f"network {network} not found"})


@pytest.mark.skipif(DOCKER is None, reason="the docker client is not installed")
async def test_a_stack_has_the_hosts_network_as_an_external_one(tmp_path: Path) -> None:
    file = tmp_path / "app.yml"
    file.write_text(
        'version: "3.8"\n'
        "services: {web: {image: demo, networks: [hostnet]}}\n"
        "networks: {hostnet: {external: true, name: host}}\n"
    )
    async with served() as api:
        await api.docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", str(file), "app")
        await api.cluster.converged()
        (task,) = await api.get("/tasks")
        assert [one["Network"]["Spec"]["Name"] for one in task["NetworksAttachments"]] == ["host"]


# --- with an engine


async def test_by_name_the_engines_are_meant_and_by_scope_or_id_the_swarms(engine: Path) -> None:
    async with before_engine(engine) as api:
        assert (await api.get("/networks/host"))["Id"] == engine_says(engine, "network", "inspect", "-f{{.Id}}", "host")
        ours = await api.get("/networks/host?scope=swarm")
        assert (ours["Scope"], len(ours["Id"])) == ("swarm", 25)
        assert await api.get(f"/networks/{ours['Id']}") == ours
        listed = [one for one in await api.get("/networks") if one["Name"] == "host"]
        assert [one["Scope"] for one in listed] == ["local"]
        words = {"message": "host is a pre-defined network and cannot be removed"}
        assert await api.ask("DELETE", "/networks/host") == (403, words)


async def test_the_engines_id_of_one_stands_for_the_swarms(engine: Path) -> None:
    async with before_engine(engine) as api:
        theirs, ours = (await api.get("/networks/host"))["Id"], (await api.get("/networks/host?scope=swarm"))["Id"]
        assert (await api.ask("POST", "/services/create", service(theirs)))[0] == 201
        made = await api.get("/services/web")
        assert made["Spec"]["TaskTemplate"]["Networks"] == [{"Target": ours}]
        spec = made["Spec"] | {"TaskTemplate": IMAGE | {"Networks": [{"Target": theirs[:20]}]}}
        path = f"/services/web/update?version={made['Version']['Index']}"
        assert (await api.ask("POST", path, spec))[0] == 200
        assert (await api.get("/services/web"))["Spec"]["TaskTemplate"]["Networks"] == [{"Target": ours}]


async def test_a_network_of_the_machine_is_refused_to_a_service_in_the_words_of_docker(engine: Path) -> None:
    """The words are those of populateNetworkID in moby."""
    async with before_engine(engine) as api:
        theirs = await api.docker("network", "create", "--config-only", "local")
        try:
            for target in ("local", theirs, theirs[:12]):
                words = {"message": ONLY_THE_SWARMS.format("local")}
                assert await api.ask("POST", "/services/create", service(target)) == (403, words)
        finally:
            await api.docker("network", "rm", "local")
        words = {"message": "could not find the corresponding predefined swarm network: network none not found"}
        assert await api.ask("POST", "/services/create", service("none")) == (404, words)
        words = {"message": "network nope not found"}
        assert await api.ask("POST", "/services/create", service("nope")) == (500, words)


async def test_a_name_that_the_machine_uses_is_not_free_for_the_swarm(engine: Path) -> None:
    async with before_engine(engine) as api:
        await api.docker("network", "create", "--config-only", "local")
        try:
            for name in ("local", "host"):
                answer = await api.ask("POST", "/networks/create", {"Name": name, "Driver": "overlay"})
                assert answer == (409, {"message": f"network with name {name} already exists"})
        finally:
            await api.docker("network", "rm", "local")
        assert (await api.ask("POST", "/networks/create", {"Name": "local", "Driver": "overlay"}))[0] == 201


async def test_an_engine_that_is_gone_stops_no_network_and_no_service_of_the_swarm(tmp_path: Path) -> None:
    async with before_engine(tmp_path / "nobody.sock") as api:
        assert (await api.ask("POST", "/networks/create", {"Name": "over", "Driver": "overlay"}))[0] == 201
        assert (await api.ask("POST", "/services/create", service("over", "host")))[0] == 201
        assert (await api.get("/networks/host?scope=swarm"))["Scope"] == "swarm"
