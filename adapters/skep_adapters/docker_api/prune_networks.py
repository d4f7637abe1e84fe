"""What removes the networks that nobody uses: the swarm's, and those of the machine's own engine where there is one.

Docker leaves all of the swarm's alone where it is asked for those before an instant, or without a label. Skep takes
these filters for both.
"""

import time

from aiohttp import web
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.ids import Instant
from skep.model.network import Network

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.passthrough import the_engine
from skep_adapters.docker_api.passthrough_system import verbatim
from skep_adapters.docker_api.times import parse_moment

#: A network that was used, or removed, meanwhile is passed over.
_PASSED_OVER = (Code.FAILED_PRECONDITION, Code.NOT_FOUND)


#: An engine removes some ten networks in a second.
ENGINE_TIMEOUT_S = 300.0


async def prune(call: Call) -> web.StreamResponse:
    """Remove the swarm's networks that nobody uses."""
    return _answer(await _prune_swarm(call, *_wanted(call)))


async def prune_both(call: Call) -> web.StreamResponse:
    """Remove the networks that nobody uses, on this machine and in the swarm.

    The engine's go first: if it refuses, or does not answer, nothing is removed.
    """
    wanted = _wanted(call)
    heard = await the_engine(call).ask(call.request.rel_url.raw_path_qs, method="POST", timeout_s=ENGINE_TIMEOUT_S)
    if heard.status != web.HTTPOk.status_code:
        return verbatim(heard)
    theirs = heard.json().get("NetworksDeleted") or []
    return _answer([*await _prune_swarm(call, *wanted), *theirs])


def _answer(names: list[str]) -> web.Response:
    # what a machine had of a network of the swarm's bears its name
    return json_answer({"NetworksDeleted": list(dict.fromkeys(names)) or None})


def _wanted(call: Call) -> tuple[Filters, Instant | None]:
    """Read the filters of the query, and the instant before which networks were made that are to go."""
    filters = call.filters(status=400)
    filters.check(known.PRUNED_NETWORK)
    moments = filters.get("until")
    if len(moments) > 1:
        raise ApiError(500, "more than one until filter specified")
    try:
        return filters, parse_moment(moments[0], Instant(time.time_ns())) if moments else None
    except ValueError as error:
        raise ApiError(500, str(error)) from None


async def _prune_swarm(call: Call, filters: Filters, until: Instant | None) -> list[str]:
    """Remove what fits, the lowest id first; return the names."""
    if not call.cluster.active:
        return []

    def ask(state: ClusterState) -> list[Network]:
        networks = (one for one in state.networks.values() if one.id not in state.network_users)
        return [one for one in networks if not one.predefined and not one.spec.ingress]

    removed: list[str] = []
    for network in sorted(await call.read(ask), key=lambda one: one.id):
        if not _fits(network, filters, until):
            continue
        try:
            await call.cluster.networks.remove(network.id, actor=call.actor)
        except Rejected as rejected:
            if rejected.code not in _PASSED_OVER:
                raise
        else:
            removed.append(network.spec.name)
    return removed


def _fits(network: Network, filters: Filters, until: Instant | None) -> bool:
    if until is not None and network.created_at > until:
        return False
    labels = network.spec.labels
    # as Docker reads it: what has all of the labels that are not wanted, stays
    return filters.labels("label", labels) and not ("label!" in filters and filters.labels("label!", labels))
