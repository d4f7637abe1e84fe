"""Networks of both: the swarm's are skep's, those of one machine the engine's.

As on a swarm's manager, a full name or id beats the beginning of an id, and the swarm's network the engine's. Of the
swarm's networks the engine has those that its tasks are on. As on a manager it adds to a list what only it finds: by a
pattern of names, and what the swarm has removed while a container is still on it.
"""

from typing import Any

import structlog
from aiohttp import web
from skep.core.lookup import find_network
from skep.core.rejected import Rejected
from skep.core.rules.network import LOCAL_NAMES
from skep.core.state import ClusterState
from skep.model.network import PREDEFINED, Network

from skep_adapters.docker_api import handle_networks
from skep_adapters.docker_api.answers import json_answer, list_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.local_networks import network_of_engine
from skep_adapters.docker_api.passthrough import passed_on, the_engine
from skep_adapters.docker_api.passthrough_engine import EngineGone
from skep_adapters.docker_api.passthrough_system import verbatim
from skep_adapters.docker_api.render_network import render_network

_LOG = structlog.get_logger("skep.docker_api")

#: What only the engine knows of a network of the swarm: who is on it on this machine, and which machines it reaches.
#: Labels that are none are null until the machine has the network, and empty then (recorded in scenario 16).
_OF_THE_MACHINE = ("Containers", "Labels", "Peers", "Services")


async def list_networks(call: Call) -> web.StreamResponse:
    """Answer the swarm's networks and the engine's; the swarm's alone while the engine does not answer."""
    ours = await handle_networks.wanted(call)
    listed = {network.id for network in ours}
    theirs: list[Any] = []
    try:
        heard = await the_engine(call).ask(call.request.rel_url.raw_path_qs)
    except EngineGone as gone:
        _LOG.warning("networks of this machine are left out", reason=str(gone))
    else:
        if heard.status != web.HTTPOk.status_code:
            return verbatim(heard)
        # out of a swarm the engine may have some for a moment yet
        found = [one for one in heard.json() if one.get("Scope") != "swarm" or call.cluster.active]
        theirs = [one for one in found if one.get("Id") not in listed]
    return await list_answer(
        call.request, [*ours, *theirs], lambda one: render_network(one) if isinstance(one, Network) else one
    )


async def create(call: Call) -> web.StreamResponse:
    """Begin a network: the swarm's if it is to be an overlay or of the swarm's scope, and more than a configuration."""
    body = await handle_networks.network_body(call)
    if not body.config_only and (body.driver == "overlay" or body.scope == "swarm"):
        await _check_free(call, body.name)
        return await handle_networks.create(call)
    if await _ours(call, body.name, exactly=True) is not None:
        raise ApiError(409, f"network with name {body.name} already exists")
    return await passed_on(call, await call.raw_body())


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one network."""
    if call.param("scope") == "local" or not await _is_ours(call):
        return await passed_on(call)
    network = await _ours(call, call.ref)
    if network is None:
        raise ApiError(404, f"network {call.ref} not found")
    call.truth("verbose")
    try:
        seen = await network_of_engine(call, network.id, call.request.rel_url.raw_query_string)
    except EngineGone:
        seen = {}
    return json_answer(render_network(network) | {name: seen[name] for name in _OF_THE_MACHINE if name in seen})


async def remove(call: Call) -> web.StreamResponse:
    """End a network."""
    if await _is_ours(call):
        return await handle_networks.remove(call)
    try:
        theirs = await network_of_engine(call, call.ref)
    except EngineGone:
        theirs = {}  # what is asked of it next says so
    if theirs.get("Scope") == "swarm" and call.ref not in PREDEFINED:
        raise ApiError(500, f"network {theirs.get('Id')} not found")
    return await passed_on(call)


async def _is_ours(call: Call) -> bool:
    """Whether the swarm's network is meant; what the engine has by that very name comes before the start of an id.

    By the names of its own networks the engine's are meant, unless the swarm's are asked for.
    """
    if call.ref in PREDEFINED:
        return call.param("scope") == "swarm"
    if await _ours(call, call.ref, exactly=True) is not None:
        return True
    if call.param("scope") == "swarm":
        return True
    if await _ours(call, call.ref) is None:
        return False
    theirs = await network_of_engine(call, call.ref, call.request.rel_url.raw_query_string)
    return theirs.get("Scope") == "swarm" or call.ref not in (theirs.get("Name"), theirs.get("Id"))


async def _ours(call: Call, ref: str, *, exactly: bool = False) -> Network | None:
    """Return the swarm's network of that name or id, or of which that is the beginning of the id, if there is one."""
    if not call.cluster.active:
        return None

    def ask(state: ClusterState) -> Network | None:
        try:
            found = find_network(state, ref)
        except Rejected:
            return None
        return found if not exactly or ref in (found.id, found.spec.name) else None

    return await call.read(ask)


async def _check_free(call: Call, name: str) -> None:
    """Refuse a name that a network of this machine bears; the swarm refuses those of every engine's itself."""
    if name in LOCAL_NAMES:
        return
    try:
        theirs = await network_of_engine(call, name)
    except EngineGone as gone:
        _LOG.warning("a network's name is not looked for on this machine", reason=str(gone))
    else:
        if theirs.get("Name") == name:
            raise ApiError(409, f"network with name {name} already exists")
