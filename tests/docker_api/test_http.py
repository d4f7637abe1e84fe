"""The protocol around the objects: versions, headers, unknown paths, words of errors, limits."""

import asyncio
import base64
import socket
from pathlib import Path
from typing import Any

import pytest
from docker_harness import served
from skep.core.rules.secret import CONFIG_SIZE_LIMIT, SECRET_SIZE_LIMIT
from skep.model.service import ServiceSpec
from skep.runtime.errors import LastManager
from skep_adapters.docker_api import SocketInUse
from skep_adapters.docker_api.server import DockerApi

NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)
IMAGE = {"ContainerSpec": {"Image": "nginx:1"}}

#: method, path, body, status, message (recorded in scenarios 01, 02, 04, 05, 14, 19, 20 and 21)
REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/v1.41/bogus", None, 404, "page not found"),
    ("GET", "/vbogus/services", None, 404, "page not found"),
    ("PUT", "/v1.41/services/create", {}, 404, "page not found"),
    ("DELETE", "/v1.41/services", None, 404, "page not found"),
    ("POST", "/v1.41/services", None, 404, "page not found"),
    ("POST", "/v1.41/services/web", None, 404, "page not found"),
    ("GET", "/v1.41/swarm/", None, 404, "page not found"),
    ("GET", "/v1.41/swarm/init", None, 404, "page not found"),
    ("DELETE", "/v1.41/swarm", None, 404, "page not found"),
    ("GET", "/v1.41/services/", None, 404, "page not found"),
    ("GET", "/v1.41/services/web/", None, 404, "page not found"),
    ("GET", "/v1.41/session", None, 404, "page not found"),
    ("GET", "/v1.41/distribution/BAD", None, 404, "page not found"),
    ("GET", "/v1.41/services/create", None, 404, "service create not found"),
    ("GET", "/v1.41/services/nope", None, 404, "service nope not found"),
    ("DELETE", "/v1.41/services/nope", None, 404, "service nope not found"),
    ("GET", "/v1.41/tasks/web.1", None, 404, "task web.1 not found"),
    ("GET", "/v1.41/nodes/self", None, 404, "node self not found"),
    ("GET", "/v1.41/secrets/nope", None, 404, "secret nope not found"),
    ("DELETE", "/v1.41/configs/nope", None, 404, "config nope not found"),
    (
        "GET",
        "/v1.45/services",
        None,
        400,
        "client version 1.45 is too new. Maximum supported API version is 1.44",
    ),
    (
        "GET",
        "/v9.99/services",
        None,
        400,
        "client version 9.99 is too new. Maximum supported API version is 1.44",
    ),
    ("POST", "/v1.41/services/create", None, 400, "got EOF while reading request body"),
    ("POST", "/v1.41/services/create", "{", 400, "unexpected EOF"),
    ("POST", "/v1.41/services/create", "null", 400, "mismatched Runtime and *Spec fields"),
    ("POST", "/v1.41/services/create", {"Name": "a", "TaskTemplate": {}}, 400, "mismatched Runtime and *Spec fields"),
    (
        "POST",
        "/v1.41/services/create",
        {"Name": "a", "TaskTemplate": {"ContainerSpec": {}}},
        400,
        "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided",
    ),
    (
        "POST",
        "/v1.41/services/create",
        {"Name": "web", "TaskTemplate": IMAGE},
        409,
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists",
    ),
    (
        "POST",
        "/v1.41/services/create",
        {"Name": "a", "TaskTemplate": {**IMAGE, "Networks": [{"Target": "nope"}]}},
        500,
        "network nope not found",
    ),
    (
        "POST",
        "/v1.41/services/web/update",
        {"Name": "web"},
        400,
        "invalid service version '': strconv.ParseUint: parsing \"\": invalid syntax",
    ),
    (
        "POST",
        "/v1.41/services/web/update?version=-1",
        {"Name": "web"},
        400,
        "invalid service version '-1': strconv.ParseUint: parsing \"-1\": invalid syntax",
    ),
    ("POST", "/v1.41/services/nope/update?version=1", None, 400, "got EOF while reading request body"),
    (
        "POST",
        "/v1.41/services/nope/update?version=1",
        {"Name": "a", "TaskTemplate": IMAGE},
        404,
        "service nope not found",
    ),
    (
        "POST",
        "/v1.41/services/web/update?version=99999",
        {"Name": "web", "TaskTemplate": IMAGE},
        500,
        "rpc error: code = Unknown desc = update out of sequence",
    ),
    (
        "POST",
        "/v1.41/services/web/update?version=3&rollback=bogus",
        {"Name": "web", "TaskTemplate": IMAGE},
        500,
        "unrecognized rollback option bogus",
    ),
    *(
        (
            "POST",
            f"/v1.41/services/web/update?version=99999&rollback={way}",
            {"Name": "web"},
            400,
            "mismatched Runtime and *Spec fields",
        )
        for way in ("bogus", "previous")
    ),
    (
        "POST",
        "/v1.41/services/web/update?version=3&registryAuthFrom=bogus",
        {"Name": "web", "TaskTemplate": IMAGE},
        500,
        "unsupported registryAuthFrom value",
    ),
    (
        "GET",
        "/v1.41/services/web?insertDefaults=bogus",
        None,
        400,
        'invalid value for insertDefaults: bogus: strconv.ParseBool: parsing "bogus": invalid syntax',
    ),
    (
        "GET",
        "/v1.41/services?status=bogus",
        None,
        400,
        'invalid value for status: bogus: strconv.ParseBool: parsing "bogus": invalid syntax',
    ),
    ("GET", '/v1.41/services?filters={"bogus":["1"]}', None, 400, "Invalid filter 'bogus'"),
    ("GET", '/v1.41/tasks?filters={"up-to-date":["true"]}', None, 400, "Invalid filter 'up-to-date'"),
    ("GET", '/v1.41/secrets?filters={"bogus":["1"]}', None, 400, "Invalid filter 'bogus'"),
    ("GET", "/v1.41/services?filters=nonsense", None, 400, "invalid character 'o' in literal null (expecting 'u')"),
    ("GET", "/v1.41/nodes?filters=nonsense", None, 500, "invalid character 'o' in literal null (expecting 'u')"),
    ("GET", "/v1.41/tasks?filters=nonsense", None, 500, "invalid character 'o' in literal null (expecting 'u')"),
    (
        "GET",
        '/v1.41/services?filters={"name":"web"}',
        None,
        400,
        "json: cannot unmarshal string into Go value of type map[string]bool",
    ),
    ("GET", '/v1.41/tasks?filters={"service":["nope"]}', None, 404, "service nope not found"),
    ("GET", '/v1.41/tasks?filters={"node":["nope"]}', None, 404, "node nope not found"),
    (
        "GET",
        '/v1.41/tasks?filters={"desired-state":["bogus"]}',
        None,
        500,
        "Invalid desired-state filter: 'bogus'",
    ),
    ("GET", '/v1.41/nodes?filters={"role":["bogus"]}', None, 500, "Invalid role filter: 'bogus'"),
    ("GET", '/v1.41/nodes?filters={"membership":["bogus"]}', None, 500, "Invalid membership filter: 'bogus'"),
    ("GET", "/v1.41/services/web/logs", None, 500, "Bad parameters: you must choose at least one stream"),
    (
        "GET",
        "/v1.41/services/web/logs?stdout=1&tail=bogus",
        None,
        500,
        'tail value must be a positive integer or "all"',
    ),
    (
        "GET",
        "/v1.41/services/web/logs?stdout=1&since=bogus",
        None,
        500,
        'could not parse since timestamp: strconv.ParseInt: parsing "bogus": invalid syntax',
    ),
    ("GET", "/v1.41/services/nope/logs?stdout=1", None, 404, "service nope not found"),
    ("POST", "/v1.41/nodes/node1/update?version=1", {"Role": "boss"}, 400, 'invalid Role: "boss"'),
    ("POST", "/v1.41/nodes/node1/update?version=1", {}, 400, 'invalid Role: ""'),
    (
        "POST",
        "/v1.41/nodes/node1/update?version=1",
        {"Role": "manager", "Availability": "sleepy"},
        400,
        'invalid Availability: "sleepy"',
    ),
    (
        "POST",
        "/v1.41/nodes/node1/update?version=abc",
        {"Role": "manager"},
        400,
        "invalid node version 'abc': strconv.ParseUint: parsing \"abc\": invalid syntax",
    ),
    ("POST", "/v1.41/secrets/nope/update?version=abc", {"Name": "s"}, 400, "invalid secret version"),
    (
        "POST",
        "/v1.41/swarm/init",
        {"ListenAddr": "0.0.0.0:2377"},
        503,
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    ),
    (
        "POST",
        "/v1.41/swarm/update?version=1&rotateWorkerToken=bogus",
        {"Name": "default"},
        400,
        "invalid value for rotateWorkerToken: bogus",
    ),
    ("POST", "/v1.41/swarm/update?version=1", {"Name": "other"}, 400, 'swarm spec must be named "default"'),
    (
        "POST",
        "/v1.41/swarm/leave",
        None,
        503,
        str(LastManager()),
    ),
]

#: likewise, as a real engine of 20.10 was heard to answer
HEARD: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/v1.41/events?since=job", None, 500, 'strconv.ParseInt: parsing "job": invalid syntax'),
    ("GET", "/v1.41/events?until=1h", None, 500, 'strconv.ParseInt: parsing "1h": invalid syntax'),
    ("GET", "/v1.41/events?filters=x", None, 500, "invalid character 'x' looking for beginning of value"),
    ("GET", "/v1.41/events?since=2&until=1", None, 400, "`since` time (2) cannot be after `until` time (1)"),
    (
        "POST",
        "/v1.41/secrets/create",
        {"Name": "s", "Driver": {"Options": {}}},
        400,
        "rpc error: code = InvalidArgument desc = secret driver must have a name",
    ),
    (
        "POST",
        "/v1.41/services/web/update?version=%1F",
        {"Name": "web", "TaskTemplate": IMAGE},
        400,
        "invalid service version '\x1f': strconv.ParseUint: parsing \"\\x1f\": invalid syntax",
    ),
    ("GET", "/v1.41/services/nope/logs", None, 500, "Bad parameters: you must choose at least one stream"),
    (
        "POST",
        "/v1.41/services/nope/update?version=1&rollback=bogus",
        {"Name": "web", "TaskTemplate": IMAGE, "Networks": [{"Target": "lost"}]},
        500,
        "network lost not found",
    ),
    (
        "POST",
        "/v1.41/networks/create",
        {"Name": "n", "Driver": "overlay", "IPAM": {"Config": [{"Gateway": "x"}]}},
        500,
        "Invalid subnet  : invalid CIDR address: ",
    ),
    *(
        (
            "POST",
            f"/v1.41/{kind}s/kept/update?version=1",
            {"Labels": {"a": "b"}},
            400,
            "rpc error: code = InvalidArgument desc = only updates to Labels are allowed",
        )
        for kind in ("secret", "config")
    ),
    ("OPTIONS", "/v1.99/info", None, 400, "client version 1.99 is too new. Maximum supported API version is 1.44"),
]

#: what a request that needs a swarm is answered outside one (recorded in scenario 01)
OUTSIDE: list[tuple[str, str, Any]] = [
    *(("GET", path, None) for path in ("/swarm", "/swarm/unlockkey", "/nodes", "/nodes/a", "/services", "/services/a")),
    *(("GET", path, None) for path in ("/tasks", "/tasks/a", "/secrets", "/secrets/a", "/configs", "/configs/a")),
    ("GET", "/services/a/logs?stdout=1", None),
    ("GET", "/tasks/a/logs?stdout=1", None),
    ("POST", "/swarm/unlock", {"UnlockKey": "x"}),
    ("POST", "/swarm/update?version=1", {}),
    ("POST", "/services/create", {"Name": "a", "TaskTemplate": IMAGE}),
    ("POST", "/services/a/update?version=1", {"Name": "a"}),
    ("POST", "/nodes/a/update?version=1", {"Role": "worker", "Availability": "active"}),
    ("POST", "/secrets/create", {"Name": "s", "Data": "eA=="}),
    ("POST", "/configs/create", {"Name": "c", "Data": "eA=="}),
    *(("DELETE", f"/{kind}/a", None) for kind in ("services", "nodes", "secrets", "configs")),
]

NOT_IMPLEMENTED = [
    ("GET", "/containers/json"),
    ("POST", "/containers/create"),
    ("GET", "/images/json"),
    ("POST", "/build"),
    ("POST", "/auth"),
    ("GET", "/volumes"),
    ("POST", "/networks/abc/connect"),
    ("POST", "/exec/abc/start"),
    ("POST", "/containers/abc/attach"),
    ("GET", "/distribution/nginx:latest/json"),
    ("POST", "/session"),
    ("GET", "/plugins"),
]


async def test_what_cannot_be_is_refused_with_the_recorded_words() -> None:
    async with served() as api:
        await api.ask("POST", "/services/create", {"Name": "web", "TaskTemplate": IMAGE})
        for kind in ("secrets", "configs"):
            await api.ask("POST", f"/{kind}/create", {"Name": "kept", "Data": "eA=="})
        wrong = []
        for method, path, body, status, message in REFUSED + HEARD:
            answer = await api.ask(method, path, body)
            if answer != (status, {"message": message}):
                wrong.append((method, path, answer))
        assert not wrong


async def test_outside_a_swarm_everything_of_a_swarm_is_refused() -> None:
    async with served(init=False) as api:
        wrong = []
        for method, path, body in OUTSIDE:
            answer = await api.ask(method, path, body)
            if answer != (503, {"message": NO_SWARM}):
                wrong.append((method, path, answer))
        assert not wrong
        assert await api.ask("POST", "/swarm/leave") == (503, {"message": "This node is not part of a swarm"})
        assert (await api.get("/info"))["Swarm"] == {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        }


@pytest.mark.parametrize(("method", "path"), NOT_IMPLEMENTED)
async def test_what_does_not_exist_yet_says_so(method: str, path: str) -> None:
    async with served(init=False) as api:
        status, answer = await api.ask(method, f"/v1.41{path}")
        assert status == 501
        assert answer["message"].startswith("skep does not implement ")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/containers/web/json", "No such container: web"),
        ("/images/web/json", "No such image: web:latest"),
        ("/images/r.io:5000/a/web/json", "No such image: r.io:5000/a/web:latest"),
        ("/images/web:1/json", "No such image: web:1"),
        ("/networks/web", "network web not found"),
        ("/volumes/web", "get web: no such volume"),
        ("/plugins/web/json", 'plugin "web" not found'),
    ],
)
async def test_one_thing_of_a_kind_that_skep_has_none_of_is_not_found(path: str, words: str) -> None:
    async with served(init=False) as api:
        assert await api.ask("GET", f"/v1.41{path}") == (404, {"message": words})


async def test_a_client_is_warned_of_fields_without_effect() -> None:
    def unsupported(spec: ServiceSpec) -> tuple[str, ...]:
        return ("TTY",) if spec.container.tty else ()

    plain, fancy = (
        {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a", "TTY": tty}}} for tty in (False, True)
    )
    warning = "TTY is kept, and has no effect: what runs the tasks here does without it"
    async with served(unsupported=unsupported) as api:
        status, answer = await api.ask("POST", "/services/create", plain)
        assert (status, list(answer)) == (201, ["ID"])
        for spec, warnings in ((fancy, [warning]), (plain, None)):
            version = (await api.get("/services/web"))["Version"]["Index"]
            assert await api.ask("POST", f"/services/web/update?version={version}", spec) == (
                200,
                {"Warnings": warnings},
            )
        status, answer = await api.ask("POST", "/services/create", fancy | {"Name": "fancy"})
        assert (status, answer["Warnings"]) == (201, [warning])


async def test_every_answer_says_what_is_spoken() -> None:
    async with served(init=False, api_max="1.41") as api:
        for method in ("GET", "HEAD"):
            async with api.http.request(method, "http://skep/_ping") as ping:
                assert ping.status == 200
                assert (await ping.read()) == (b"OK" if method == "GET" else b"")
                assert ping.headers["Api-Version"] == "1.41"
                assert ping.headers["Ostype"] == "linux"
                assert ping.headers["Docker-Experimental"] == "false"
                assert ping.headers["Server"].startswith("skep/")
                assert ping.headers["Content-Type"] == "text/plain; charset=utf-8"
                assert ping.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        version = await api.get("/version")
        assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.41", "1.24")


async def test_a_client_that_is_too_old_is_told_so_in_plain_text() -> None:
    async with served(init=False) as api, api.http.get("http://skep/v1.23/services") as answer:
        assert answer.status == 400
        assert answer.content_type == "text/plain"
        assert await answer.text() == (
            "client version 1.23 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version\n"
        )


async def test_paths_work_without_a_version_and_with_any_that_is_spoken() -> None:
    async with served() as api:
        for prefix in ("", "/v1.24", "/v1.41", "/v1.44"):
            assert await api.get(f"{prefix}/services") == []


async def test_a_head_of_anything_but_ping_is_a_page_not_found() -> None:
    async with served() as api, api.http.head("http://skep/v1.41/services") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/info", "/services/web", "/bogus"])
async def test_to_be_asked_for_options_is_nothing_wrong(path: str) -> None:
    async with served() as api:
        assert await api.ask("OPTIONS", path) == (200, b"")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded; a=b"])
async def test_a_network_has_to_be_said_to_be_json(kind: str) -> None:
    body = {"Name": "net", "Driver": "overlay"}
    async with served() as api:
        words = f"Content-Type specified ({kind}) must be 'application/json'"
        assert await api.ask("POST", "/networks/create", body, **{"Content-Type": kind}) == (400, {"message": words})
        status, _ = await api.ask(
            "POST", "/networks/create", body, **{"Content-Type": "Application/JSON; charset=utf-8"}
        )
        assert status == 201
        body = {"Name": "s", "Data": "eA=="}
        assert (await api.ask("POST", "/secrets/create", body, **{"Content-Type": kind}))[0] == 201


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with served() as api:
        status, answer = await api.ask("POST", "/configs/create", "x" * (4 * 1024 * 1024 + 1))
        assert (status, answer["message"]) == (413, "request body is larger than 4194304 bytes")


@pytest.mark.parametrize(
    ("kind", "size"), [("config", CONFIG_SIZE_LIMIT), ("secret", SECRET_SIZE_LIMIT)], ids=["config", "secret"]
)
async def test_the_largest_config_and_secret_of_swarm_are_kept_and_larger_ones_refused_in_its_words(
    kind: str, size: int
) -> None:
    def body(length: int) -> dict[str, str]:
        return {"Name": "big", "Data": base64.b64encode(bytes(length)).decode()}

    async with served() as api:
        for each in (size, size + 1):
            status, answer = await api.ask("POST", f"/{kind}s/create", body(each))
            words = f"{kind} data must be larger than 0 and less than {size} bytes"
            assert (status, answer["message"]) == (400, f"rpc error: code = InvalidArgument desc = {words}")
        status, _ = await api.ask("POST", f"/{kind}s/create", body(size - 1))
        assert status == 201
        found = await api.get(f"/{kind}s/big")
        path = f"/{kind}s/{found['ID']}/update?version={found['Version']['Index']}"
        status, _ = await api.ask("POST", path, {**found["Spec"], "Labels": {"a": "b"}})
        assert status == 200


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with served(init=False) as api:
        status, _ = await api.ask("GET", "/_ping", None, **{"X-Registry-Auth": "x" * 100_000})
        assert status == 400


async def test_every_command_is_its_users_by_the_client_that_was_used() -> None:
    async with served() as api:
        body = {"Name": "web", "TaskTemplate": IMAGE}
        await api.ask("POST", "/services/create", body, **{"User-Agent": "Docker-Client/28.2.2 (linux)"})
        async for record in api.cluster.events():
            if any(event.name == "service.created/1" for event in record.events):
                assert record.actor.kind == "person"
                assert record.actor.name.startswith("uid:")
                assert record.actor.via == "Docker-Client/28.2.2 (linux)"
                return


async def test_a_socket_in_use_is_not_taken(tmp_path: Path) -> None:
    async with served(init=False) as api:
        with pytest.raises(SocketInUse, match="a server is listening"):
            async with DockerApi(api.cluster).serve_unix(api.path):
                pass
        assert (await api.get("/version"))["ApiVersion"] == "1.44"
        plain = tmp_path / "file"
        plain.write_text("mine")
        with pytest.raises(SocketInUse, match="is no socket"):
            async with DockerApi(api.cluster).serve_unix(plain):
                pass
        assert plain.read_text() == "mine"


async def test_the_socket_of_a_dead_server_is_replaced_and_ours_removed(tmp_path: Path) -> None:
    path = tmp_path / "skep.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with served(init=False) as api, DockerApi(api.cluster).serve_unix(path, mode=0o600):
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: skep\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"OK")
        writer.close()
        await writer.wait_closed()
    assert not path.exists()


async def test_nonsense_on_the_wire_is_refused_and_nothing_breaks() -> None:
    async with served(init=False) as api:
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"GET\r\n\r\n", b"\r\n" * 50):
            reader, writer = await asyncio.open_unix_connection(str(api.path))
            writer.write(nonsense)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert (await api.get("/version"))["ApiVersion"] == "1.44"
