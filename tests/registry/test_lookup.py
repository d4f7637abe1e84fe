"""What images are, asked of a real registry; what it says no to; how one shows who one is."""

import base64
from pathlib import Path

import pytest
from registry_harness import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    HTPASSWD,
    OCI_INDEX,
    OCI_MANIFEST,
    Shelf,
    Tokens,
    digest,
    registry,
    serving,
)
from skep.ports.registry import ImageFound, Platform, RegistryError
from skep_adapters.registry import RegistryClient

LOGIN = {"username": "user", "password": "password"}
BASIC = "Basic " + base64.b64encode(b"user:password").decode()


async def look_up(image: str, **credentials: str) -> ImageFound:
    return await RegistryClient(timeout_s=10).look_up(image, credentials)


async def refused(image: str, **credentials: str) -> tuple[int, str]:
    with pytest.raises(RegistryError) as caught:
        await look_up(image, **credentials)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("kind", [DOCKER_MANIFEST, OCI_MANIFEST])
async def test_an_image_of_one_platform_says_it_in_its_configuration(shelf: Shelf, kind: str) -> None:
    said = {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1", "os.features": ["x"]}
    manifest = await shelf.put("a/one", "1", kind=kind, **said)
    platform = Platform("arm64", "linux", "1", ("x",), "v8")
    found = ImageFound(kind, digest(manifest), len(manifest), (platform,))
    assert await look_up(f"{shelf.host}/a/one:1") == found
    assert await look_up(f"{shelf.host}/a/one@{digest(manifest)}") == found
    assert await look_up(f"{shelf.host}/a/one:1@{digest(manifest)}") == found


@pytest.mark.parametrize(("kind", "inner"), [(DOCKER_LIST, DOCKER_MANIFEST), (OCI_INDEX, OCI_MANIFEST)])
async def test_an_index_lists_its_platforms(shelf: Shelf, kind: str, inner: str) -> None:
    listed = []
    for arch in ("amd64", "arm64"):
        body = await shelf.put("many", arch, kind=inner, architecture=arch, os="linux")
        platform = {"architecture": arch, "os": "linux"}
        listed.append({"mediaType": inner, "digest": digest(body), "size": len(body), "platform": platform})
    index = await shelf.put_manifest("many", "1", kind, {"schemaVersion": 2, "mediaType": kind, "manifests": listed})
    platforms = (Platform("amd64", "linux"), Platform("arm64", "linux"))
    assert await look_up(f"{shelf.host}/many:1") == ImageFound(kind, digest(index), len(index), platforms)


async def test_without_a_tag_it_is_the_latest(shelf: Shelf) -> None:
    manifest = await shelf.put("late", "latest", architecture="amd64", os="linux")
    assert (await look_up(f"{shelf.host}/late")).digest == digest(manifest)


async def test_what_is_not_there_is_told_in_the_registrys_words(shelf: Shelf) -> None:
    await shelf.put("there", "1")
    unknown = (404, "manifest unknown: manifest unknown")
    assert await refused(f"{shelf.host}/there:2") == unknown
    assert await refused(f"{shelf.host}/nothing:1") == unknown
    assert await refused(f"{shelf.host}/there@sha256:{'0' * 64}") == unknown


async def test_a_registry_that_nobody_runs_is_told() -> None:
    assert await refused("localhost:1/x:1") == (
        500,
        'Get "http://localhost:1/v2/": dial tcp localhost:1: connect: connection refused',
    )


@pytest.mark.usefixtures("installed")
async def test_a_password_is_shown_to_a_registry_that_wants_one(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    with registry(tmp_path) as host:
        manifest = await Shelf(host).put("private", "1", architecture="amd64", os="linux")
    with registry(tmp_path, htpasswd={"realm": "here", "path": str(tmp_path / "htpasswd")}) as host:
        image = f"{host}/private:1"
        packed = base64.b64encode(b"user:password").decode()
        for credentials in (LOGIN, {"auth": packed}):
            found = await look_up(image, **credentials)
            assert (found.digest, len(found.platforms)) == (digest(manifest), 1)
        why = f'Head "http://{host}/v2/private/manifests/1": no basic auth credentials'
        assert await refused(image) == (500, why)
        assert (await refused(image, username="user", password="wrong"))[0] == 401  # noqa: S106 - wrong on purpose


@pytest.mark.usefixtures("installed")
async def test_tokens_are_had_from_the_server_that_the_registry_names(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    with registry(tmp_path) as host:
        manifest = await Shelf(host).put("a/private", "1", architecture="amd64", os="linux")
    async with serving(tokens.answer) as server:
        settings = {
            "realm": f"http://{server}/token",
            "service": "shelf",
            "issuer": "tokens",
            "rootcertbundle": str(tokens.bundle),
        }
        with registry(tmp_path, token=settings) as host:
            image = f"{host}/a/private:1"
            found = await look_up(image)
            assert (found.digest, found.platforms) == (digest(manifest), (Platform("amd64", "linux"),))
            asked = {"service": "shelf", "scope": "repository:a/private:pull"}
            assert tokens.asked == [("GET", asked, "")]

            tokens.wanted = BASIC
            assert (await look_up(image, **LOGIN)).digest == digest(manifest)
            assert tokens.asked[-1] == ("GET", asked | {"account": "user"}, BASIC)
            assert await refused(image, username="user", password="wrong") == (  # noqa: S106 - wrong on purpose
                401,
                "unauthorized: incorrect username or password",
            )

            tokens.wanted = ""
            assert (await look_up(image, identitytoken="refreshing")).digest == digest(manifest)
            method, form, shown = tokens.asked[-1]
            assert (method, form["grant_type"], form["refresh_token"], shown) == (
                "POST",
                "refresh_token",
                "refreshing",
                "",
            )
            assert (await refused(image, registrytoken="nonsense"))[0] == 401
