"""Which request goes where. There is no 405: a method that a path does not have is a page that is not found.

The table is looked through in order; paths come without their version.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from skep_adapters.docker_api import (
    handle_configs,
    handle_distribution,
    handle_events,
    handle_logs,
    handle_networks,
    handle_nodes,
    handle_secrets,
    handle_services,
    handle_stacks,
    handle_swarm,
    handle_system,
    handle_tasks,
    handle_updates,
    handle_volumes,
    passthrough,
    passthrough_events,
    passthrough_networks,
    passthrough_system,
    prune_networks,
)
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, not_implemented

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A handler, and which requests it answers."""

    methods: tuple[str, ...]
    path: re.Pattern[str]
    handler: Handler


def find(method: str, path: str, *, engine: bool) -> tuple[Handler, dict[str, str]] | None:
    """Return who answers a request, and what its path names; None if nobody does. `engine`: whether there is one."""
    for route in (*_SHARED, *_ROUTES) if engine else (*_ROUTES, *_LACKING):
        if method in route.methods and (found := route.path.fullmatch(path)):
            return route.handler, found.groupdict()
    # what a Docker Engine of a later version knows is its own to answer
    return (passthrough.forward, {}) if engine and not _OF_THE_SWARM.fullmatch(path) else None


def answered_by_engine(path: str) -> bool:
    """Whether the engine answers a request for `path` while skep has no swarm: it may join one, and be in one."""
    return _ENGINES_OUTSIDE.fullmatch(path) is not None


def _route(methods: str, path: str, handler: Handler) -> Route:
    pattern = re.escape(path).replace(r"\{ref\}", "(?P<ref>[^/]+)")
    return Route(tuple(methods.split()), re.compile(pattern), handler)


def _found(pattern: str, handler: Handler) -> Route:
    """Return the route of names that have slashes."""
    return Route(("GET",), re.compile(pattern), handler)


def _absent(pattern: str, words: Callable[[str], str]) -> Route:
    """Return the route of one thing of a kind that skep has none of.

    404 and not 501: `docker inspect NAME` asks for every kind in turn, and goes on only if there is no such thing.
    """

    async def refuse(call: Call) -> web.StreamResponse:
        raise ApiError(404, words(call.ref))

    return Route(("GET",), re.compile(pattern), refuse)


def _no_such_image(name: str) -> str:
    """Return Docker's sentence, which says the tag even where nobody did."""
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    return f"No such image: {name}{'' if tagged else ':latest'}"


def _missing(methods: str, pattern: str, what: str) -> Route:
    async def refuse(_: Call) -> web.StreamResponse:
        raise not_implemented(what)

    return Route(tuple(methods.split()), re.compile(pattern), refuse)


_ROUTES = (
    _route("GET HEAD", "/_ping", handle_system.ping),
    _route("GET", "/version", handle_system.version),
    _route("GET", "/info", handle_system.info),
    _route("GET", "/events", handle_events.events),
    _route("POST", "/swarm/init", handle_swarm.init),
    _route("POST", "/swarm/join", handle_swarm.join),
    _route("POST", "/swarm/leave", handle_swarm.leave),
    _route("GET", "/swarm", handle_swarm.inspect),
    _route("GET", "/swarm/unlockkey", handle_swarm.unlock_key),
    _route("POST", "/swarm/update", handle_swarm.update),
    _route("POST", "/swarm/unlock", handle_swarm.unlock),
    _route("GET", "/services", handle_services.list_services),
    _route("POST", "/services/create", handle_services.create),
    _route("GET", "/services/{ref}", handle_services.inspect),
    _route("POST", "/services/{ref}/update", handle_services.update),
    _route("DELETE", "/services/{ref}", handle_services.remove),
    _route("GET", "/services/{ref}/logs", handle_logs.service_lines),
    _route("GET", "/nodes", handle_nodes.list_nodes),
    _route("GET", "/nodes/{ref}", handle_nodes.inspect),
    _route("POST", "/nodes/{ref}/update", handle_nodes.update),
    _route("DELETE", "/nodes/{ref}", handle_nodes.remove),
    _route("GET", "/tasks", handle_tasks.list_tasks),
    _route("GET", "/tasks/{ref}", handle_tasks.inspect),
    _route("GET", "/tasks/{ref}/logs", handle_logs.task_lines),
    _route("GET", "/secrets", handle_secrets.list_secrets),
    _route("POST", "/secrets/create", handle_secrets.create),
    _route("GET", "/secrets/{ref}", handle_secrets.inspect),
    _route("POST", "/secrets/{ref}/update", handle_secrets.update),
    _route("DELETE", "/secrets/{ref}", handle_secrets.remove),
    _route("GET", "/configs", handle_configs.list_configs),
    _route("POST", "/configs/create", handle_configs.create),
    _route("GET", "/configs/{ref}", handle_configs.inspect),
    _route("POST", "/configs/{ref}/update", handle_configs.update),
    _route("DELETE", "/configs/{ref}", handle_configs.remove),
    _route("GET", "/networks", handle_networks.list_networks),
    _route("POST", "/networks/create", handle_networks.create),
    _route("POST", "/networks/prune", prune_networks.prune),
    _route("GET", "/networks/{ref}", handle_networks.inspect),
    _route("DELETE", "/networks/{ref}", handle_networks.remove),
    # what skep has and Docker has not
    _route("GET", "/skep/services/{ref}/updates", handle_updates.history),
    _route("POST", "/skep/services/{ref}/rollback", handle_updates.rollback),
    _route("POST", "/skep/services/{ref}/rebalance", handle_updates.rebalance),
    _route("GET", "/skep/stacks", handle_stacks.list_stacks),
    _route("POST", "/skep/stacks/{ref}/deploy", handle_stacks.deploy),
    _route("GET", "/skep/stacks/{ref}/deployments", handle_stacks.history),
    _route("POST", "/skep/stacks/{ref}/rollback", handle_stacks.rollback),
    Route(("OPTIONS",), re.compile(".*"), handle_system.options),
    _found("/distribution/(?P<ref>.+)/json", handle_distribution.inspect),
)

#: What is answered by skep and a Docker Engine together, where there is one.
_SHARED = (
    _route("GET HEAD", "/_ping", passthrough_system.ping),
    _route("GET", "/version", passthrough_system.version),
    _route("GET", "/info", passthrough_system.info),
    _route("GET", "/events", passthrough_events.events),
    _route("GET", "/networks", passthrough_networks.list_networks),
    _route("POST", "/networks/create", passthrough_networks.create),
    _route("POST", "/networks/prune", prune_networks.prune_both),
    _route("GET", "/networks/{ref}", passthrough_networks.inspect),
    _route("DELETE", "/networks/{ref}", passthrough_networks.remove),
)

#: What is never an engine's: as a worker it would only say that it is no manager.
_OF_THE_SWARM = re.compile("/(swarm|services|nodes|tasks|secrets|configs|skep)(/.*)?")

#: What is the engine's own as long as skep has no swarm: all of a swarm but its beginning, and every network.
_ENGINES_OUTSIDE = re.compile("/(swarm(?!/init)|services|nodes|tasks|secrets|configs|networks)(/.*)?")

#: What a Docker Engine has and skep has not, or has only where there is no engine.
_LACKING = (
    _route("GET", "/volumes", handle_volumes.list_volumes),
    _route("POST", "/volumes/create", handle_volumes.create),
    _route("POST", "/volumes/prune", handle_volumes.prune),
    _route("GET", "/volumes/{ref}", handle_volumes.inspect),
    _route("DELETE", "/volumes/{ref}", handle_volumes.remove),
    _absent("/containers/(?P<ref>[^/]+)/json", lambda name: f"No such container: {name}"),
    _absent("/images/(?P<ref>.+)/json", _no_such_image),
    _absent("/plugins/(?P<ref>.+)/json", lambda name: f'plugin "{name}" not found'),
    _missing("GET HEAD POST PUT DELETE", "/containers/.+", "containers: it runs tasks of services only"),
    _missing("GET POST", "/exec/.+", "running commands in containers"),
    _missing("GET POST DELETE", "/images/.+", "images: it pulls and keeps none"),
    _missing("POST", "/(build|build/.+|commit)", "building images"),
    _missing("POST", "/auth", "logging in to registries: it pulls no images"),
    _missing("PUT", "/volumes/.+", "volumes of a cluster"),
    _missing("POST", "/networks/.+", "connecting containers to networks"),
    _missing("GET POST DELETE", "/plugins(/.+)?", "plugins"),
    _missing("POST", "/(session|grpc)", "build sessions"),
    _missing("GET", "/system/df", "disk usage: it keeps no images, containers or volumes"),
)
