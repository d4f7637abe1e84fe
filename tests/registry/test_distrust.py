"""Registries that lie, dawdle, send too much, or lead elsewhere. No real one does that when asked to."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import web
from registry_harness import OCI_INDEX, digest, serving
from skep.ports.registry import ImageFound, RegistryError
from skep_adapters.registry import RegistryClient
from skep_adapters.registry.challenge import Challenge, challenges
from skep_adapters.registry.http import BODY_BYTES_MAX

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
LOGIN = {"username": "user", "password": "secret"}


async def look_up(image: str, timeout_s: float = 5, **credentials: str) -> ImageFound:
    return await RegistryClient(timeout_s=timeout_s).look_up(image, credentials)


def one_manifest(answer: Any, challenge: str = "") -> Any:
    """Return a registry of which every manifest is `answer`."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if challenge and "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if request.path == "/v2/":
            return web.Response()
        return answer(request)  # type: ignore[no-any-return]  # answers are made by the tests

    return handler


def manifest(body: bytes = MANIFEST, **headers: str) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": OCI_INDEX} | headers)


async def test_a_manifest_with_another_digest_is_not_believed() -> None:
    wrong = {"Docker-Content-Digest": digest(b"something else")}
    async with serving(one_manifest(lambda _: manifest(**wrong))) as host:
        with pytest.raises(RegistryError, match="another digest than it should"):
            await look_up(f"{host}/a:1")
    async with serving(one_manifest(lambda _: manifest())) as host:
        assert (await look_up(f"{host}/a:1")).digest == digest(MANIFEST)
        with pytest.raises(RegistryError, match="another digest than it should"):
            await look_up(f"{host}/a@sha256:{'0' * 64}")


async def test_an_answer_that_is_too_large_is_not_read() -> None:
    async with serving(one_manifest(lambda _: manifest(b" " * (BODY_BYTES_MAX + 1)))) as host:
        with pytest.raises(RegistryError, match="larger than 4194304 bytes"):
            await look_up(f"{host}/a:1")


async def test_a_registry_that_dawdles_is_not_waited_for() -> None:
    async def dawdle(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(dawdle) as host:
        begun = time.monotonic()
        with pytest.raises(RegistryError, match=r"did not answer within 0\.5 seconds"):
            await look_up(f"{host}/a:1", timeout_s=0.5)
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"manifests": 3}', b"\xff"])
async def test_what_is_no_manifest_is_told(body: bytes) -> None:
    async with serving(one_manifest(lambda _: web.Response(body=body))) as host:
        with pytest.raises(RegistryError, match="manifest") as caught:
            await look_up(f"{host}/a:1")
        assert caught.value.status == 500


async def test_credentials_follow_a_redirect_on_the_same_host_and_to_no_other() -> None:
    shown: list[str | None] = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        shown.append(request.headers.get("Authorization"))
        return manifest()

    async with serving(elsewhere) as other:

        def redirect(request: web.BaseRequest) -> web.Response:
            shown.append(request.headers.get("Authorization"))
            there = "/v2/moved" if "manifests" in request.path else f"http://{other}/x"
            return web.Response(status=307, headers={"Location": there})

        async with serving(one_manifest(redirect, 'Basic realm="r"')) as host:
            assert (await look_up(f"{host}/a:1", **LOGIN)).digest == digest(MANIFEST)
    assert [one is not None for one in shown] == [True, True, False]


async def test_redirects_end() -> None:
    def around(_: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": "/v2/again"})

    async with serving(one_manifest(around)) as host:
        with pytest.raises(RegistryError, match="redirected more than 5 times"):
            await look_up(f"{host}/a:1")


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://x/y", "http://[", ""])
async def test_a_redirect_to_anything_else_is_not_followed(where: str) -> None:
    def lead(_: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    async with serving(one_manifest(lead)) as host:
        with pytest.raises(RegistryError, match="redirected"):
            await look_up(f"{host}/a:1")


async def test_a_password_is_not_sent_to_another_host_without_tls() -> None:
    for realm in ("http://tokens.invalid/x", "file:///x", "nonsense"):
        async with serving(one_manifest(lambda _: manifest(), f'Bearer realm="{realm}"')) as host:
            with pytest.raises(RegistryError, match="server of tokens"):
                await look_up(f"{host}/a:1", **LOGIN)


async def test_words_of_a_registry_are_cut() -> None:
    said = json.dumps({"errors": [{"code": "DENIED", "message": "x" * 100_000}, {"code": "UNAUTHORIZED"}]})
    async with serving(one_manifest(lambda _: web.Response(status=403, text=said))) as host:
        with pytest.raises(RegistryError) as caught:
            await look_up(f"{host}/a:1")
    assert caught.value.status == 403
    assert str(caught.value).startswith("errors:\ndenied: xxx")
    assert str(caught.value).endswith("x\nunauthorized: unknown error\n")
    assert len(str(caught.value)) < 2000


async def test_errors_hold_no_password() -> None:
    async with serving(one_manifest(lambda _: web.Response(status=500), 'Basic realm="r"')) as host:
        with pytest.raises(RegistryError, match="received unexpected HTTP status: 500") as caught:
            await look_up(f"{host}/a:1", **LOGIN)
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("field", "read"),
    [
        (
            'Bearer realm="https://a/t",service="b, c",scope="x\\"y"',
            [Challenge("bearer", {"realm": "https://a/t", "service": "b, c", "scope": 'x"y'})],
        ),
        ('Basic realm="r"', [Challenge("basic", {"realm": "r"})]),
        ("Negotiate", [Challenge("negotiate", {})]),
        (
            'Basic realm="r", Bearer realm=x , service=y',
            [Challenge("basic", {"realm": "r"}), Challenge("bearer", {"realm": "x", "service": "y"})],
        ),
        ("", []),
        ('="', []),
    ],
)
def test_challenges_are_read(field: str, read: list[Challenge]) -> None:
    assert challenges([field]) == read
