"""What is asked of both at once: ping, version, info. The engine's answers, with skep's part in them.

An engine that does not answer takes nothing away: skep then answers for itself, and info says so.
"""

from typing import Any

from aiohttp import web
from skep.version import VERSION

from skep_adapters.docker_api import handle_system
from skep_adapters.docker_api.answers import JSON, json_answer
from skep_adapters.docker_api.api_versions import newer, older
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.http_request import HEADERS
from skep_adapters.docker_api.passthrough import the_engine
from skep_adapters.docker_api.passthrough_engine import Answer, EngineGone
from skep_adapters.docker_api.render_system import API_MIN, render_info, render_version

#: What the engine alone can say in the head of a ping; the builder decides how `docker build` builds.
_PINGED = ("Builder-Version", "Docker-Experimental", "Ostype")

#: Clients ping before everything they do: an engine that hangs may not hold up what is the swarm's for long.
PING_TIMEOUT_S = 2.0


async def ping(call: Call) -> web.StreamResponse:
    """Say that skep is there, and what both speak."""
    headers = call.request[HEADERS]
    try:
        heard = await the_engine(call).ask("/_ping", timeout_s=PING_TIMEOUT_S)
    except EngineGone:
        return await handle_system.ping(call)
    headers |= {name: heard.headers[name] for name in _PINGED if name in heard.headers}
    headers["Api-Version"] = _spoken(call)
    return await handle_system.ping(call)


async def version(call: Call) -> web.StreamResponse:
    """Answer the engine's versions, and skep's own beside them."""
    try:
        heard = await the_engine(call).ask(call.request.rel_url.raw_path_qs)
    except EngineGone:
        return await handle_system.version(call)
    call.request[HEADERS]["Api-Version"] = spoken = _spoken(call)
    if heard.status != web.HTTPOk.status_code:
        return verbatim(heard)
    document: dict[str, Any] = heard.json()
    oldest = newer(API_MIN, document.get("MinAPIVersion") or API_MIN)
    both = {"ApiVersion": spoken, "MinAPIVersion": oldest}
    components = document.get("Components") or []
    for component in components:
        if component.get("Name") == "Engine" and component.get("Details"):
            component["Details"] |= both
    ours = render_version(call.api_max)["Components"][0]
    skep = {"Name": "skep", "Version": VERSION, "Details": ours["Details"]}
    return json_answer(document | both | {"Components": [*components, skep]})


async def info(call: Call) -> web.StreamResponse:
    """Answer what is to be known of the engine, with the swarm as skep knows it."""
    swarm = await handle_system.swarm_part(call)
    try:
        heard = await the_engine(call).ask(call.request.rel_url.raw_path_qs)
    except EngineGone as gone:
        document = render_info(swarm, call.hostname)
        return json_answer(document | {"Warnings": [*(document["Warnings"] or ()), f"WARNING: {gone}"]})
    call.request[HEADERS]["Api-Version"] = _spoken(call)
    if heard.status != web.HTTPOk.status_code:
        return verbatim(heard)
    document = heard.json()
    if not (call.cluster.active or call.cluster.locked):
        return json_answer(document)
    warnings = [*(document.get("Warnings") or ()), *(swarm.get("Warnings") or ())]
    return json_answer(document | {"Swarm": swarm, "Warnings": warnings or None})


def verbatim(heard: Answer) -> web.Response:
    """Return an answer of the engine's as it is."""
    return web.Response(
        status=heard.status, body=heard.body, headers={"Content-Type": heard.headers.get("Content-Type", JSON)}
    )


def _spoken(call: Call) -> str:
    return older(call.api_max, the_engine(call).api_version)
