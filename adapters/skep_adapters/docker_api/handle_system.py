"""What is asked of the engine itself: ping, version, info."""

from typing import Any

from aiohttp import web
from skep.runtime.errors import EngineError, NoSwarm, SwarmLocked

from skep_adapters.docker_api.answers import empty_answer, json_answer
from skep_adapters.docker_api.api_versions import before
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.http_request import HEADERS
from skep_adapters.docker_api.render_swarm import INACTIVE, render_active
from skep_adapters.docker_api.render_system import render_info, render_version

_PING_HEADERS = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}


async def ping(call: Call) -> web.StreamResponse:
    """Say that the engine is there, and from API 1.42 on what it is in the swarm.

    What it speaks stands in every answer's headers.
    """
    headers = dict(_PING_HEADERS)
    if not before(call.request[HEADERS]["Api-Version"], "1.42"):
        headers["Swarm"] = "active/manager" if call.cluster.active else "locked" if call.cluster.locked else "inactive"
    return web.Response(body=b"OK", content_type="text/plain", charset="utf-8", headers=headers)


async def options(_: Call) -> web.StreamResponse:
    """Answer that there is nothing to say of a path, whatever it is, as Docker does."""
    return empty_answer()


async def version(call: Call) -> web.StreamResponse:
    """Answer versions."""
    return json_answer(render_version(call.api_max))


async def info(call: Call) -> web.StreamResponse:
    """Answer what is to be known of the engine, outside a swarm too."""
    return json_answer(render_info(await swarm_part(call), call.hostname))


async def swarm_part(call: Call) -> dict[str, Any]:
    """Return what `info` says of the swarm."""
    cluster = call.cluster
    try:
        return await cluster.read(
            lambda state: render_active(state, cluster.node_id, cluster.advertise_addr, resumed=cluster.resumed)
        )
    except SwarmLocked as error:
        return INACTIVE | {"NodeAddr": cluster.advertise_addr, "LocalNodeState": "locked", "Error": str(error)}
    except NoSwarm:
        return INACTIVE
    except EngineError as error:
        # info is where one looks when something is wrong
        return INACTIVE | {"LocalNodeState": "error", "Error": str(error)}
