"""What an image is: the Docker Engine's answer and skep's own are the same, and services are pinned by it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_harness import before_engine, join
from skep_adapters.registry import RegistryClient

from tests.registry.registry_harness import DOCKER_LIST, DOCKER_MANIFEST, HTPASSWD, REGISTRY, Shelf, digest, registry

pytestmark = pytest.mark.skipif(REGISTRY is None, reason="docker-registry is not installed (Debian: docker-registry)")

Answer = tuple[int, Any]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield Shelf(host)


def _credentials(**said: str) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(said).encode()).decode()}


async def _both(engine: Path, path: str, **headers: str) -> tuple[Answer, Answer]:
    """Return the engine's answer and skep's own."""
    async with before_engine(engine) as api:
        theirs = await api.ask("GET", path, **headers)
    async with before_engine(None, registry=RegistryClient()) as api:
        await join(api)
        return theirs, await api.ask("GET", path, **headers)


async def test_both_say_the_same_of_images(engine: Path, shelf: Shelf) -> None:
    body = await shelf.put("web", "1", architecture="arm64", os="linux", variant="v8")
    listed = {
        "mediaType": DOCKER_MANIFEST,
        "digest": digest(body),
        "size": len(body),
        "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
    }
    await shelf.put_manifest(
        "web", "list", DOCKER_LIST, {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [listed]}
    )
    for image in ("web:1", "web:list", f"web@{digest(body)}"):
        theirs, ours = await _both(engine, f"/v1.41/distribution/{shelf.host}/{image}/json")
        assert theirs[0] == 200
        assert theirs == ours


async def test_both_refuse_alike(engine: Path, shelf: Shelf) -> None:
    await shelf.put("web", "1", architecture="amd64", os="linux")
    for image in (f"{shelf.host}/web:2", f"{shelf.host}/no:1", "bad%20image", "Upper", "0" * 64, "127.0.0.1:1/x:1"):
        theirs, ours = await _both(engine, f"/v1.41/distribution/{image}/json")
        assert theirs == ours
        assert theirs[0] >= 400


async def test_both_log_in_alike(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    with registry(tmp_path) as host:
        await Shelf(host).put("web", "1", architecture="amd64", os="linux")
    with registry(tmp_path, htpasswd={"realm": "here", "path": str(tmp_path / "htpasswd")}) as host:
        path = f"/v1.41/distribution/{host}/web:1/json"
        theirs, ours = await _both(engine, path, **_credentials(username="user", password="password"))  # noqa: S106 - the test's own
        assert theirs[0] == 200
        assert theirs == ours
        for headers in ({}, _credentials(username="user", password="wrong"), {"X-Registry-Auth": "nonsense"}):  # noqa: S106 - wrong on purpose
            theirs, ours = await _both(engine, path, **headers)
            assert theirs == ours


async def test_services_are_pinned_to_digests(shelf: Shelf) -> None:
    body = await shelf.put("web", "1", architecture="amd64", os="linux")
    async with before_engine(None, registry=RegistryClient()) as api:
        await join(api)
        await api.docker("service", "create", "-d", "--name", "web", "--replicas", "0", f"{shelf.host}/web:1")
        spec = (await api.get("/services/web"))["Spec"]["TaskTemplate"]
        assert spec["ContainerSpec"]["Image"] == f"{shelf.host}/web:1@{digest(body)}"
        assert spec["Placement"]["Platforms"] == [{"Architecture": "amd64", "OS": "linux"}]


async def test_an_engine_that_is_gone_is_no_obstacle(shelf: Shelf, tmp_path: Path) -> None:
    body = await shelf.put("web", "1", architecture="amd64", os="linux")
    path = f"/distribution/{shelf.host}/web:1/json"
    async with before_engine(tmp_path / "none.sock", registry=RegistryClient()) as api:
        assert (await api.get(path))["Descriptor"]["digest"] == digest(body)
    async with before_engine(tmp_path / "none.sock") as api:
        assert (await api.ask("GET", path))[0] == 503


async def test_where_no_engine_runs_tasks_an_image_is_only_a_name() -> None:
    refusal = "skep does not implement looking up images in registries where no Docker Engine runs tasks"
    async with before_engine(None, registry=RegistryClient()) as api:
        assert await api.ask("GET", "/distribution/nginx/json") == (501, {"message": refusal})
    async with before_engine(None) as api:
        await join(api)
        assert await api.ask("GET", "/distribution/nginx/json") == (501, {"message": refusal})
