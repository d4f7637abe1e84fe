"""What the API answers of stacks as a whole; images are pinned as Docker's client pins them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker_harness import DOCKER, served
from engine_harness import before_engine, join
from skep.model.stack import StackSpec
from skep_adapters.compose import ComposeFiles
from skep_adapters.registry import RegistryClient

from tests.registry.registry_harness import REGISTRY, Shelf, registry


async def stack(folder: Path, text: str) -> StackSpec:
    (folder / "stack.yml").write_text(text)
    return (await ComposeFiles().read([folder / "stack.yml"], name="app", env={})).stack


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/skep/stacks/app/deploy", "{", 400, "unexpected EOF"),
        (
            "/skep/stacks/app/deploy",
            '{"name": "app", "services": [{"Name": 5}]}',
            400,
            "ServiceSpec.services.Name of type string",
        ),
        ("/skep/stacks/app/deploy?resolve=no", '{"name": "app"}', 400, "resolve must be always or never, not 'no'"),
        ("/skep/stacks/app/deploy?prune=x", '{"name": "app"}', 400, "prune"),
        ("/skep/stacks/app/deploy", '{"name": "app", "services": [{"Name": "w"}]}', 400, "does not bear the label"),
        ("/skep/stacks/app/rollback?to=0", None, 400, "to must be a whole number from 1, not '0'"),
        ("/skep/stacks/app/rollback?to=1", None, 404, "stack app not found"),
        (f"/skep/stacks/{'a' * 61}/deploy", '{"name": "app"}', 400, "a stack's name has 1 to 60 characters"),
    ],
)
async def test_what_cannot_be_is_refused(path: str, body: str | None, status: int, sentence: str) -> None:
    async with served() as api:
        got, answer = await api.ask("POST", path, body)
        assert (got, sentence in answer["message"]) == (status, True), answer


@pytest.mark.parametrize("number", [-1, 2**32, 10**30])
async def test_a_number_that_swarm_has_no_room_for_is_refused(number: int) -> None:
    port = {"TargetPort": 80, "PublishedPort": number}
    labels = {"com.docker.stack.namespace": "app"}
    task = {"ContainerSpec": {"Image": "x"}}
    service = {"Name": "app_w", "Labels": labels, "TaskTemplate": task, "EndpointSpec": {"Ports": [port]}}
    async with served() as api:
        status, answer = await api.ask("POST", "/skep/stacks/app/deploy", {"services": [service]})
        assert (status, "Ports.PublishedPort of type uint32" in answer["message"]) == (400, True), answer


async def test_a_stack_is_made_shown_and_gone_back_to(tmp_path: Path) -> None:
    async with served() as api:
        for image in ("v1", "v2"):
            body = msgspec.json.encode(await stack(tmp_path, f"services: {{web: {{image: {image}}}}}")).decode()
            status, answer = await api.ask("POST", "/skep/stacks/app/deploy", body, **{"User-Agent": "a test"})
            assert status == 200, answer
        assert await api.get("/skep/stacks") == {"Stacks": [{"Name": "app", "Services": 1}]}
        first, second = (await api.get("/skep/stacks/app/deployments"))["Deployments"]
        assert first["Changes"] == [
            {"What": "created", "Kind": "network", "Name": "app_default"},
            {"What": "created", "Kind": "service", "Name": "app_web"},
        ]
        assert (second["Number"], second["Kind"], second["Client"]) == (2, "deployment", "a test")
        assert [one["Image"] for one in second["Services"]] == ["v2:latest"]
        status, answer = await api.ask("POST", "/skep/stacks/app/rollback?to=1")
        assert (status, answer["Updated"], answer["Created"]) == (200, ["app_web"], [])


@pytest.mark.skipif(REGISTRY is None, reason="docker-registry is not installed (Debian: docker-registry)")
@pytest.mark.skipif(DOCKER is None, reason="no docker CLI here")
async def test_images_are_pinned_as_by_the_client(tmp_path: Path) -> None:
    with registry(tmp_path) as host:
        await Shelf(host).put("web", "1", architecture="amd64", os="linux")
        text = json.dumps({"services": {"web": {"image": f"{host}/web:1"}, "db": {"image": f"{host}/none:1"}}})
        made = await stack(tmp_path, text)
        async with before_engine(None, registry=RegistryClient()) as api:
            await join(api)
            await api.docker("stack", "deploy", "--detach", "-c", str(tmp_path / "stack.yml"), "app")
            theirs = await _services(api)
        async with before_engine(None, registry=RegistryClient()) as api:
            await join(api)
            status, answer = await api.ask("POST", "/skep/stacks/app/deploy", msgspec.json.encode(made).decode())
            assert status == 200, answer
            assert "could not be accessed on a registry" in answer["Warnings"][0]
            assert await _services(api) == theirs
            assert "web:1@sha256:" in theirs["app_web"][0]
            # nobody asks again, and it keeps what it has
            await api.ask("POST", "/skep/stacks/app/deploy?resolve=never", msgspec.json.encode(made).decode())
            assert (await _services(api))["app_web"][0] == theirs["app_web"][0]


async def _services(api: Any) -> dict[str, Any]:
    return {
        one["Spec"]["Name"]: (
            one["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"],
            one["Spec"]["TaskTemplate"]["Placement"],
        )
        for one in await api.get("/services")
    }
