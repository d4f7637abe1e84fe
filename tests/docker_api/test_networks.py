"""Networks over the API: requests and answers as recorded in scenarios 15, 16 and 25."""

from pathlib import Path
from typing import Any

import pytest
from docker_harness import DOCKER, served

IMAGE = {"ContainerSpec": {"Image": "demo"}}


def overlay(name: str, **said: Any) -> dict[str, Any]:
    """Return what the client sends."""
    return {
        "Driver": "overlay",
        "Scope": "",
        "IPAM": {"Driver": "default", "Options": {}, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
        "Options": {},
        "Labels": {},
        "Name": name,
        "CheckDuplicate": True,
    } | said


#: What was sent after the network n1 was made; the answers are those recorded.
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    (overlay("n1"), 409, "network with name n1 already exists"),
    (overlay("ingress"), 409, "network with name ingress already exists"),
    (overlay("bridge"), 409, "network with name bridge already exists"),
    (overlay("host"), 409, "network with name host already exists"),
    (overlay(""), 409, "network with name  already exists"),
    ({"Name": "n1", "Driver": "overlay", "CheckDuplicate": False}, 409, "network with name n1 already exists"),
    (
        overlay("n9", IPAM={"Driver": "default", "Config": [{"Subnet": "bogus"}]}),
        500,
        "Invalid subnet bogus : invalid CIDR address: bogus",
    ),
    (
        overlay("n16", IPAM={"Driver": "bogus"}),
        400,
        "rpc error: code = InvalidArgument desc = error during lookup of plugin bogus",
    ),
    (overlay("n18", Driver="bogusdriver"), 404, 'plugin "bogusdriver" not found'),
    (overlay("n19", Scope="local"), 403, "cannot downgrade network scope for overlay networks"),
    (
        overlay("bad name"),
        400,
        "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component",
    ),
    (overlay("-bad"), 400, "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component"),
    (
        overlay("ing3", Ingress=True, Attachable=True),
        400,
        "rpc error: code = InvalidArgument desc = ingress network cannot be attachable",
    ),
    ({}, 500, "invalid name: "),
]


async def test_a_network_is_made_and_shown_as_recorded() -> None:
    async with served() as api:
        ipam = {
            "Driver": "default",
            "Config": [
                {
                    "Subnet": "10.78.0.0/16",
                    "IPRange": "10.78.5.0/24",
                    "Gateway": "10.78.0.9",
                    "AuxiliaryAddresses": {"a": "10.78.5.5"},
                }
            ],
        }
        status, made = await api.ask("POST", "/networks/create", overlay("n6", IPAM=ipam))
        assert (status, made["Warning"], len(made["Id"])) == (201, "", 25)
        shown = await api.get("/networks/n6")
        created = shown.pop("Created")
        assert created.endswith("Z")
        assert shown == {
            "Name": "n6",
            "Id": made["Id"],
            "Scope": "swarm",
            "Driver": "overlay",
            "EnableIPv6": False,
            "IPAM": {
                "Driver": "default",
                "Options": None,
                "Config": [{"Subnet": "10.78.0.0/16", "IPRange": "10.78.5.0/24", "Gateway": "10.78.0.9"}],
            },
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": None,
            "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
            "Labels": None,
        }


async def test_options_and_labels_are_shown_as_recorded() -> None:
    async with served() as api:
        await api.ask("POST", "/networks/create", overlay("n3", Options={"encrypted": ""}, Labels={"a": "1", "b": ""}))
        await api.ask("POST", "/networks/create", overlay("n17", IPAM={"Driver": "default", "Options": {"a": "b"}}))
        n3, n17 = await api.get("/networks/n3"), await api.get("/networks/n17")
        assert list(n3["Options"].items()) == [
            ("com.docker.network.driver.overlay.vxlanid_list", "4097"),
            ("encrypted", ""),
        ]
        assert n3["Labels"] == {"a": "1", "b": ""}
        assert n17["IPAM"]["Options"] == {"a": "b", "com.docker.network.ipam.serial": "true"}


async def test_what_overlaps_is_made_and_has_no_addresses() -> None:
    async with served() as api:
        for name, subnet in (("n5", "10.77.0.0/16"), ("n7", "10.77.5.0/24")):
            body = overlay(name, IPAM={"Driver": "default", "Config": [{"Subnet": subnet}]})
            assert (await api.ask("POST", "/networks/create", body))[0] == 201
        shown = await api.get("/networks/n7")
        assert (shown["Driver"], shown["IPAM"], shown["Options"]) == (
            "",
            {"Driver": "", "Options": None, "Config": None},
            None,
        )


async def test_what_cannot_be_is_refused_with_the_recorded_words() -> None:
    async with served() as api:
        await api.ask("POST", "/networks/create", overlay("n1"))
        wrong = []
        for body, status, message in REFUSED:
            answer = await api.ask("POST", "/networks/create", body)
            if answer != (status, {"message": message}):
                wrong.append((body, answer))
        assert not wrong
        ingress = (await api.get("/networks/ingress"))["Id"]
        assert await api.ask("POST", "/networks/create", overlay("ing2", Ingress=True)) == (
            409,
            {"message": f"rpc error: code = AlreadyExists desc = ingress network ({ingress}) is already present"},
        )


@pytest.mark.parametrize("body", [overlay("l", Driver="bridge"), overlay("c", ConfigOnly=True)])
async def test_networks_of_one_engine_are_refused_by_field(body: dict[str, Any]) -> None:
    async with served() as api:
        status, answer = await api.ask("POST", "/networks/create", body)
        assert status == 501
        assert "Driver=bridge" in answer["message"] or "ConfigOnly" in answer["message"]


async def test_a_network_may_take_its_configuration_from_one_of_each_node() -> None:
    """As recorded in scenario 16."""
    async with served() as api:
        body = {"Name": "mv2", "Driver": "macvlan", "Scope": "swarm", "ConfigFrom": {"Network": "conf1"}}
        assert (await api.ask("POST", "/networks/create", body))[0] == 201
        shown = await api.get("/networks/mv2")
        assert (shown["ConfigFrom"], shown["ConfigOnly"], shown["Driver"]) == ({"Network": "conf1"}, False, "macvlan")
        task = IMAGE | {"Networks": [{"Target": "mv2"}]}
        await api.ask("POST", "/services/create", {"Name": "web", "TaskTemplate": task})
        await api.cluster.converged("web")
        (shown,) = (await api.get("/tasks"))[0]["NetworksAttachments"]
        assert shown["Network"]["Spec"]["ConfigFrom"] == {"Network": "conf1"}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ('{"driver":{"overlay":true}}', {"ingress", "n1", "n13"}),
        ('{"driver":["bridge"]}', set()),
        ('{"scope":{"swarm":true}}', {"ingress", "n1", "n13"}),
        ('{"scope":{"global":true}}', set()),
        ('{"scope":["bogus"]}', set()),
        ('{"type":{"custom":true}}', {"ingress", "n1", "n13"}),
        ('{"type":{"builtin":true}}', set()),
        ('{"name":{"n1":true}}', {"n1"}),
        ('{"label":{"a=1":true}}', {"n13"}),
        ('{"dangling":{"true":true}}', {"ingress", "n13"}),
    ],
)
async def test_lists_are_filtered(filters: str, names: set[str]) -> None:
    async with served() as api:
        await api.ask("POST", "/networks/create", overlay("n1"))
        await api.ask("POST", "/networks/create", overlay("n13", Labels={"a": "1"}))
        task = IMAGE | {"Networks": [{"Target": "n1"}]}
        await api.ask("POST", "/services/create", {"Name": "web", "TaskTemplate": task})
        found = await api.get(f"/networks?filters={filters}")
        assert {one["Name"] for one in found} == names
        assert [one["Id"] for one in found] == sorted(one["Id"] for one in found)


async def test_an_overlay_without_addresses_has_no_driver_to_be_found_by() -> None:
    """As recorded in scenario 16."""
    async with served() as api:
        for name, subnet in (("n5", "10.77.0.0/16"), ("n7", "10.77.5.0/24")):
            await api.ask("POST", "/networks/create", overlay(name, IPAM={"Config": [{"Subnet": subnet}]}))
        found = await api.get('/networks?filters={"driver":["overlay"]}')
        assert {one["Name"] for one in found} == {"ingress", "n5"}


async def test_an_unknown_filter_and_a_wrong_truth_are_refused() -> None:
    async with served() as api:
        assert await api.ask("GET", '/networks?filters={"bogus":["x"]}') == (400, {"message": "Invalid filter 'bogus'"})
        assert await api.ask("GET", "/networks/ingress?verbose=bogus") == (
            400,
            {"message": 'invalid value for verbose: bogus: strconv.ParseBool: parsing "bogus": invalid syntax'},
        )
        assert await api.ask("GET", "/networks/nope") == (404, {"message": "network nope not found"})
        assert await api.ask("GET", "/networks/ingress?scope=local") == (404, {"message": "network ingress not found"})


async def test_a_service_joins_by_name_and_is_shown_with_its_addresses() -> None:
    async with served() as api:
        network = (await api.ask("POST", "/networks/create", overlay("a1")))[1]["Id"]
        body = {
            "Name": "web",
            "TaskTemplate": IMAGE | {"Networks": [{"Target": "a1", "Aliases": ["w"]}]},
            "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80}]},
        }
        assert (await api.ask("POST", "/services/create", body))[0] == 201
        await api.cluster.converged("web")
        service = await api.get("/services/web")
        ingress = (await api.get("/networks/ingress"))["Id"]
        assert service["Spec"]["TaskTemplate"]["Networks"] == [{"Target": network, "Aliases": ["w"]}]
        assert [one["NetworkID"] for one in service["Endpoint"]["VirtualIPs"]] == [ingress, network]
        (task,) = await api.get("/tasks")
        assert task == await api.get(f"/tasks/{task['ID']}")
        assert [(one["Network"]["Spec"]["Name"], one["Addresses"]) for one in task["NetworksAttachments"]] == [
            ("ingress", ["10.0.0.4/24"]),
            ("a1", ["10.0.1.3/24"]),
        ]
        words = f"rpc error: code = FailedPrecondition desc = network {network} is in use by service {service['ID']}"
        assert await api.ask("DELETE", "/networks/a1") == (400, {"message": words})
        await api.ask("DELETE", "/services/web")
        assert (await api.ask("DELETE", "/networks/a1"))[0] == 204
        assert await api.ask("DELETE", "/networks/a1") == (404, {"message": "network a1 not found"})


async def test_a_task_shows_the_gateway_that_was_given_in_the_spec_of_its_network_too() -> None:
    """As recorded in scenario 30."""
    async with served() as api:
        ipam = {"Config": [{"Subnet": "10.66.0.0/24"}]}
        await api.ask("POST", "/networks/create", overlay("n1", IPAM=ipam))
        template = {"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": "n1"}]}
        await api.ask("POST", "/services/create", {"Name": "web", "TaskTemplate": template})
        await api.cluster.converged("web")
        (task,) = await api.get("/tasks")
        network = task["NetworksAttachments"][0]["Network"]
        given = [{"Subnet": "10.66.0.0/24", "Gateway": "10.66.0.1"}]
        assert network["Spec"]["IPAMOptions"]["Configs"] == network["IPAMOptions"]["Configs"] == given


async def test_a_container_on_a_network_is_a_task_that_is_listed_only_where_its_runtime_is_asked_for() -> None:
    """As recorded in scenario 25; that it keeps its network, in scenario 16."""
    async with served() as api:
        network = (await api.ask("POST", "/networks/create", overlay("a3", Attachable=True)))[1]["Id"]
        (node,) = await api.get("/nodes")
        attaching = api.cluster.engine.attaching
        attached = await attaching.attach(node["ID"], "a3", "1ce4", ())
        assert await api.get("/tasks") == []
        filters = '/tasks?filters={"runtime":["attachment"]%s}'
        (task,) = await api.get(filters % "")
        assert task == await api.get(f"/tasks/{attached}") == await api.get(f"/tasks/{attached[:9]}")
        for name in ("Version", "CreatedAt", "UpdatedAt", "Status"):
            assert task.pop(name)
        (on,) = task.pop("NetworksAttachments")
        assert (on["Network"]["ID"], on["Network"]["Spec"]["Attachable"], on["Addresses"]) == (
            network,
            True,
            ["10.0.1.2/24"],
        )
        assert task == {
            "ID": attached,
            "Labels": {},
            "Spec": {
                "NetworkAttachmentSpec": {"ContainerID": "1ce4"},
                "Networks": [{"Target": network}],
                "ForceUpdate": 0,
                "Runtime": "attachment",
            },
            "NodeID": node["ID"],
            "DesiredState": "running",
        }
        assert len(await api.get(filters % f',"node":["{node["ID"]}"],"desired-state":["running"]')) == 1
        assert await api.get(filters % ',"desired-state":["shutdown"]') == []
        assert await api.get(filters % ',"label":["a"]') == []
        words = f"rpc error: code = FailedPrecondition desc = network {network} is in use by task {attached}"
        assert await api.ask("DELETE", "/networks/a3") == (400, {"message": words})
        await attaching.detach(node["ID"], attached)
        assert await api.get(filters % "") == []
        assert await api.ask("GET", f"/tasks/{attached}") == (404, {"message": f"task {attached} not found"})
        assert (await api.ask("DELETE", "/networks/a3"))[0] == 204


async def test_outside_a_swarm_there_are_none() -> None:
    async with served(init=False) as api:
        assert await api.get("/networks") == []
        assert await api.ask("GET", "/networks/web") == (404, {"message": "network web not found"})
        assert (await api.ask("POST", "/networks/create", overlay("n1")))[0] == 503


@pytest.mark.skipif(DOCKER is None, reason="the docker client is not installed")
async def test_the_client_makes_lists_joins_and_removes_networks() -> None:
    async with served() as api:
        await api.docker("network", "create", "--driver", "overlay", "--subnet", "10.5.0.0/16", "back")
        assert "back      overlay   swarm" in await api.docker("network", "ls")
        create = ("service", "create", "--detach", "--no-resolve-image", "--name", "web", "--network", "back", "demo")
        await api.docker(*create)
        subnet = await api.docker("network", "inspect", "back", "--format", "{{(index .IPAM.Config 0).Subnet}}")
        assert subnet.strip() == "10.5.0.0/16"
        assert "is in use by service" in await api.docker("network", "rm", "back", code=1)
        await api.docker("service", "rm", "web")
        await api.docker("network", "rm", "back")


@pytest.mark.skipif(DOCKER is None, reason="the docker client is not installed")
async def test_a_stack_is_deployed_with_its_networks_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "app.yml"
    file.write_text(
        "services:\n"
        "  web: {image: demo, deploy: {replicas: 2}, networks: [front, back]}\n"
        "  db: {image: demo, networks: [back]}\n"
        "networks: {front: {}, back: {}}\n"
    )
    async with served() as api:
        await api.docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", str(file), "app")
        await api.cluster.converged()
        tasks = await api.get("/tasks")
        on = sorted(sorted(a["Network"]["Spec"]["Name"] for a in task["NetworksAttachments"]) for task in tasks)
        assert on == [["app_back"], ["app_back", "app_front"], ["app_back", "app_front"]]
        await api.docker("stack", "rm", "app")
        assert [one["Name"] for one in await api.get("/networks")] == ["ingress"]
