"""What clients of an older API say and hear (recorded in scenario 27, else by Docker's history of its API)."""

import json
from pathlib import Path
from typing import Any

import pytest
from docker_harness import served
from engine_harness import before_engine, join
from skep.model.service import ServiceSpec
from skep.ports.registry import ImageFound, RegistryError
from skep_adapters.docker_api.api_versions import before
from skep_adapters.docker_api.decode import decode
from skep_adapters.docker_api.render import number, render
from skep_adapters.docker_api.spec_by_version import as_spoken

NO_IMAGE = "../web:1"
DIGEST = f"sha256:{'a' * 64}"

#: from which version on, where in a spec, what
NEWER: list[tuple[str, str, Any]] = [
    ("1.40", "TaskTemplate.ContainerSpec.Sysctls", {"a": "b"}),
    ("1.40", "TaskTemplate.ContainerSpec.Privileges.CredentialSpec.Config", "c"),
    ("1.40", "TaskTemplate.Placement.MaxReplicas", 2),
    ("1.41", "TaskTemplate.ContainerSpec.CapabilityAdd", ["CAP_X"]),
    ("1.41", "TaskTemplate.ContainerSpec.CapabilityDrop", ["CAP_X"]),
    ("1.41", "TaskTemplate.ContainerSpec.Ulimits", [{"Name": "x", "Hard": 1, "Soft": 1}]),
    ("1.41", "TaskTemplate.Resources.Limits.Pids", 5),
    ("1.41", "Mode.ReplicatedJob", {"MaxConcurrent": 1, "TotalCompletions": 1}),
    ("1.41", "Mode.GlobalJob", {"a": "b"}),
    ("1.44", "TaskTemplate.ContainerSpec.Privileges.Seccomp", {"Mode": "unconfined"}),
    ("1.44", "TaskTemplate.ContainerSpec.Privileges.AppArmor", {"Mode": "disabled"}),
    ("1.44", "TaskTemplate.ContainerSpec.Privileges.NoNewPrivileges", True),
    ("1.44", "TaskTemplate.ContainerSpec.Healthcheck.StartInterval", 5),
    ("1.46", "TaskTemplate.ContainerSpec.OomScoreAdj", 5),
    ("1.52", "TaskTemplate.Resources.SwapBytes", 5),
    ("1.52", "TaskTemplate.Resources.MemorySwappiness", 5),
]
WHOLE = {"TaskTemplate": {"ContainerSpec": {"Image": "a"}}, "Name": "w"}


def nested(path: str, value: Any) -> Any:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name, {}) if isinstance(document, dict) else {}
    return document


def read(said: Any, version: str) -> Any:
    return render(as_spoken(decode(ServiceSpec, json.dumps(said).encode()), version))


@pytest.mark.parametrize(("since", "path", "value"), NEWER, ids=lambda value: value if isinstance(value, str) else "")
def test_a_field_is_read_from_the_version_on_that_has_it(since: str, path: str, value: Any) -> None:
    major, _, minor = since.partition(".")
    said = nested(path, value)
    assert at(read(said, since), path) == value
    assert not at(read(said, f"{major}.{int(minor) - 1}"), path)


def test_options_of_a_tmpfs_and_a_config_for_the_runtime_are_newer_too() -> None:
    mount = {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1, "Options": [["noexec"]]}}
    config = {"ConfigID": "c", "ConfigName": "c", "Runtime": {}}
    said = {"TaskTemplate": {"ContainerSpec": {"Mounts": [mount], "Configs": [config]}}}
    assert at(read(said, "1.46"), "TaskTemplate.ContainerSpec.Mounts")[0]["TmpfsOptions"]["Options"] == [["noexec"]]
    container = at(read(said, "1.39"), "TaskTemplate.ContainerSpec")
    assert container["Mounts"][0]["TmpfsOptions"] == {"SizeBytes": 1}
    assert "Runtime" not in container["Configs"][0]


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.43", ""])
def test_a_spec_without_anything_newer_is_read_as_it_is(version: str) -> None:
    for said in ({}, {"Mode": {"Global": {}}}, WHOLE, {"TaskTemplate": {"Resources": {}, "Placement": {}}}):
        spec = decode(ServiceSpec, json.dumps(said).encode())
        assert as_spoken(spec, version) == spec


async def test_a_job_of_an_older_client_is_a_service_of_one_replica() -> None:
    async with served() as api:
        body = WHOLE | {"Mode": {"ReplicatedJob": {"TotalCompletions": 1}}}
        assert (await api.ask("POST", "/v1.40/services/create", body))[0] == 201
        service = await api.get("/services/w")
        assert service["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}
        assert "JobStatus" not in service
        version = service["Version"]["Index"]
        body = WHOLE | {"Mode": {"Replicated": {}}}
        body["TaskTemplate"] = {"ContainerSpec": {"Image": "a", "Sysctls": {"a": "b"}}}
        assert (await api.ask("POST", f"/v1.39/services/w/update?version={version}", body))[0] == 200
        assert "Sysctls" not in (await api.get("/services/w"))["Spec"]["TaskTemplate"]["ContainerSpec"]


async def test_services_are_counted_for_clients_that_know_of_it() -> None:
    async with served() as api:
        await api.ask("POST", "/services/create", WHOLE)
        for path in ("/services?status=true", "/v1.41/services?status=true", "/v1.44/services?status=true"):
            assert "ServiceStatus" in (await api.get(path))[0]
        for value in ("true", "bogus"):
            assert "ServiceStatus" not in (await api.get(f"/v1.40/services?status={value}"))[0]


async def test_what_a_swarm_begins_with_is_read_as_the_version_has_it() -> None:
    said = {"ListenAddr": "0.0.0.0:2377", "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 26, "DataPathPort": 5000}
    for version, pool, size, port in (
        ("1.38", None, 24, 4789),
        ("1.39", ["10.20.0.0/16"], 26, 4789),
        ("1.40", ["10.20.0.0/16"], 26, 5000),
    ):
        async with served(init=False) as api:
            assert (await api.ask("POST", f"/v{version}/swarm/init", said))[0] == 200
            swarm = await api.get("/swarm")
            assert (swarm["SubnetSize"], swarm["DataPathPort"]) == (size, port)
            assert pool is None or swarm["DefaultAddrPool"] == pool


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_templates_of_payloads_are_refused_where_they_are_not_known(kind: str) -> None:
    body = {"Name": "a", "Data": "eA==", "Templating": {"Name": "golang"}}
    async with served() as api:
        words = f"{kind} templating is not supported on the specified API version: 1.36"
        assert await api.ask("POST", f"/v1.36/{kind}s/create", body) == (400, {"message": words})
        assert (await api.ask("POST", f"/v1.37/{kind}s/create", body))[0] == 201


@pytest.mark.parametrize(("tty", "kind"), [(False, "multiplexed"), (True, "raw")])
async def test_streams_of_lines_say_of_what_kind_they_are_from_1_42_on(tty: bool, kind: str) -> None:
    async with served() as api:
        body = {"Name": "w", "TaskTemplate": {"ContainerSpec": {"Image": "a", "TTY": tty}}}
        await api.ask("POST", "/services/create", body)
        for version, said in (("1.41", None), ("1.42", f"application/vnd.docker.{kind}-stream")):
            async with api.http.get(f"http://skep/v{version}/services/w/logs?stdout=1") as answer:
                assert answer.headers.get("Content-Type") == said


async def test_a_ping_says_what_the_node_is_in_the_swarm_from_1_42_on() -> None:
    for init, api_max, said in (
        (False, "1.44", "inactive"),
        (True, "1.44", "active/manager"),
        (True, "1.41", None),
    ):
        async with (
            served(init=init, api_max=api_max) as api,
            api.http.head("http://skep/_ping") as ping,
        ):
            assert ping.headers.get("Swarm") == said


class Shelf:
    """A registry with one image."""

    async def look_up(self, image: str, credentials: Any) -> ImageFound:  # noqa: ARG002 - a port's signature
        assert image != NO_IMAGE
        if not image.endswith("web:1"):
            raise RegistryError(404, "manifest unknown")
        return ImageFound("application/json", DIGEST, 1)


async def test_images_of_clients_before_1_30_are_pinned_for_them() -> None:
    async with before_engine(None, registry=Shelf()) as api:
        await join(api)

        async def created(version: str, name: str, image: str) -> tuple[str, list[str]]:
            body = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}, "Mode": {"Replicated": {}}}
            status, answer = await api.ask("POST", f"/v{version}/services/create", body)
            assert status == 201
            shown = (await api.get(f"/services/{name}"))["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
            return shown, answer.get("Warnings", [])

        assert await created("1.29", "a", "docker.io/library/web:1") == (f"web:1@{DIGEST}", [])
        assert await created("1.29", "b", f"r.io/web@{DIGEST}") == (f"r.io/web@{DIGEST}", [])
        image, (warning,) = await created("1.29", "c", "r.io:5000/nope")
        assert image == "r.io:5000/nope"
        assert warning.startswith("image r.io:5000/nope could not be accessed on a registry to record\nits digest.")
        assert await created("1.30", "d", "web:1") == ("web:1", [])
        body = {"Name": "e", "TaskTemplate": {"ContainerSpec": {"Image": NO_IMAGE}}}
        assert (await api.ask("POST", "/v1.29/services/create", body))[0] == 400
        version = (await api.get("/services/d"))["Version"]["Index"]
        body = {"Name": "d", "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}, "Mode": {"Replicated": {}}}
        assert (await api.ask("POST", f"/v1.29/services/d/update?version={version}", body))[0] == 200
        shown = (await api.get("/services/d"))["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        assert shown == f"web:1@{DIGEST}"


async def test_where_an_image_is_only_a_name_it_is_not_looked_up() -> None:
    async with served() as api:
        assert await api.ask("POST", "/v1.24/services/create", WHOLE) == (
            201,
            {"ID": (await api.get("/services/w"))["ID"]},
        )
        assert (await api.get("/services/w"))["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "a"


async def test_a_version_that_the_engine_does_not_speak_is_refused(engine: Path) -> None:
    async with before_engine(engine) as api:
        spoken = (await api.get("/version"))["ApiVersion"]
        assert before(spoken, "1.44")
        words = f"client version 1.44 is too new. Maximum supported API version is {spoken}"
        assert await api.ask("GET", "/v1.44/services", None) == (400, {"message": words})
        assert await api.get(f"/v{spoken}/services") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1"), (0.1, "0.1"), (0.123456789012, "0.12345679"), (-2.5, "-2.5"), (16777217.0, "16777216")],
)
def test_fractions_are_written_as_32_bits_need_them(value: float, text: str) -> None:
    assert json.dumps(number(value)) == text
    assert json.dumps(render(value)) == text
