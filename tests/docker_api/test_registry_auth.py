"""What clients send for a registry is kept with the spec that it came with, and no answer shows it."""

import base64
import json
from typing import Any

from docker_harness import Served, served
from skep.runtime.pull_credentials import CHARACTERS_MAX
from skep.runtime.sealing import unseal


def auth(password: str) -> str:
    said = {"username": "ann", "password": password, "serveraddress": "r.example"}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


ANN, BOB = auth("anns-secret-word"), auth("bobs-secret-word")


def body(image: str) -> dict[str, Any]:
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}}


async def create(api: Served, sent: str = "") -> None:
    headers = {"X-Registry-Auth": sent} if sent else {}
    status, answer = await api.ask("POST", "/services/create", body("v0"), **headers)
    assert status == 201, answer


async def update(api: Served, image: str, query: str = "", sent: str = "") -> tuple[int, Any]:
    version = (await api.get("/services/web"))["Version"]["Index"]
    headers = {"X-Registry-Auth": sent} if sent else {}
    return await api.ask("POST", f"/services/web/update?version={version}{query}", body(image), **headers)


async def held(api: Served) -> str:
    """Return what the service has for its registry."""
    service = await api.cluster.services.get("web")
    if service.credentials is None:
        return ""
    return (await unseal(api.cluster.engine.store.keyring, service.credentials)).decode()


async def test_an_update_has_what_is_sent_or_else_what_was_there() -> None:
    async with served() as api:
        await create(api, ANN)
        found = [await held(api)]
        for image, query, sent in (
            ("v1", "&registryAuthFrom=spec", ""),
            ("v2", "", ""),
            ("v3", "", BOB),
            ("v4", "&registryAuthFrom=previous-spec", ""),
            # who sends some is not asked where else to take them from
            ("v5", "&registryAuthFrom=bogus", BOB),
        ):
            assert (await update(api, image, query, sent))[0] == 200
            found.append(await held(api))
        assert found == [ANN, ANN, ANN, BOB, ANN, BOB]
        assert (await update(api, "", "&rollback=previous"))[0] == 200
        assert await held(api) == ANN


async def test_what_cannot_be_is_refused_in_dockers_words() -> None:
    async with served() as api:
        await create(api)
        refusal = (500, {"message": "service does not have a previous spec"})
        assert await update(api, "v1", "&registryAuthFrom=previous-spec") == refusal
        refusal = (500, {"message": "unsupported registryAuthFrom value"})
        assert await update(api, "v1", "&registryAuthFrom=bogus") == refusal
        status, answer = await update(api, "v1", sent="x" * (CHARACTERS_MAX + 1))
        assert (status, answer["message"]) == (400, f"credentials of a registry may have {CHARACTERS_MAX} characters")
        assert await held(api) == ""


async def test_no_answer_shows_them() -> None:
    async with served() as api:
        await create(api, ANN)
        await update(api, "v1", sent=BOB)
        text = json.dumps([await api.get(path) for path in ("/services", "/services/web", "/tasks")])
        assert "v1" in text
        assert "PullOptions" not in text
        text += json.dumps(await api.get("/skep/services/web/updates"))
        for word in (ANN, BOB, ANN[8:-8], BOB[8:-8], "secret-word", "redentials", "iphertext"):
            assert word not in text
