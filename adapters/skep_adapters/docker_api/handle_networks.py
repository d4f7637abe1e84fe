"""What is asked of networks. Those of the swarm's scope only: an engine's own are not skep's."""

from aiohttp import hdrs, web
from skep.core.lookup import find_network
from skep.core.rejected import Rejected
from skep.core.rules.network import IPAM_DRIVERS, LOCAL_NAMES, is_subnet
from skep.core.state import ClusterState
from skep.model.container import Driver
from skep.model.network import Ipam, Network, NetworkSpec

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import JSON, chosen, empty_answer, json_answer, list_answer
from skep_adapters.docker_api.bodies import NetworkBody
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, not_implemented
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_network import driver_of, render_network

#: Drivers that make networks of one engine where nobody says that they are the swarm's.
_LOCAL_DRIVERS = ("", "bridge", "host", "ipvlan", "macvlan", "null")

_TRUE, _FALSE = ("true", "1"), ("false", "0")


async def list_networks(call: Call) -> web.StreamResponse:
    """Answer the networks that the filters want, by id; none where there is no swarm."""
    return await list_answer(call.request, await wanted(call), render_network)


async def wanted(call: Call) -> list[Network]:
    """Return the networks that the filters want, by id: predefined ones never, and none where there is no swarm."""
    filters = call.filters(status=400)
    filters.check(known.NETWORK)
    if not call.cluster.active:
        return []

    def ask(state: ClusterState) -> list[tuple[Network, bool]]:
        return [
            (network, network.id in state.network_users)
            for network in state.networks.values()
            if not network.predefined
        ]

    rows = await chosen(await call.read(ask), lambda row: _fits(filters, *row), lambda row: row[0].id)
    return [network for network, _ in rows]


async def create(call: Call) -> web.StreamResponse:
    """Begin a network of the swarm's scope."""
    body = await network_body(call)
    _check(body)
    for config in body.ipam.config if body.ipam else ():
        if not is_subnet(config.subnet):  # the embedding API may leave it unsaid
            raise Rejected.unknown(f"Invalid subnet {config.subnet} : invalid CIDR address: {config.subnet}", bare=True)
    driver = body.ipam.driver or "default" if body.ipam else ""
    ipam = Ipam(driver=Driver(driver, body.ipam.options), configs=body.ipam.config) if body.ipam else None
    spec = NetworkSpec(
        name=body.name,
        labels=body.labels,
        driver=Driver(body.driver, body.options),
        ipv6=body.enable_ipv6,
        internal=body.internal,
        attachable=body.attachable,
        ingress=body.ingress,
        ipam=ipam,
        config_from=body.config_from.network if body.config_from else "",
    )
    network_id = await call.cluster.networks.create(spec, actor=call.actor)
    return json_answer({"Id": network_id, "Warning": ""}, status=201)


async def network_body(call: Call) -> NetworkBody:
    """Read what network is wanted; of all that the swarm is asked, only this has to say that it is JSON.

    Raises:
        ApiError: it does not, or is none (400).
    """
    said = call.request.headers.get(hdrs.CONTENT_TYPE, "")
    silent = not said and not call.request.body_exists
    if not silent and said.partition(";")[0].strip().lower() != JSON:
        raise ApiError(400, f"Content-Type specified ({said}) must be '{JSON}'")
    return await call.body(NetworkBody)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one network."""
    call.truth("verbose")
    if call.param("scope") not in ("", "swarm") or not call.cluster.active:
        raise ApiError(404, f"network {call.ref} not found")
    return json_answer(render_network(await call.read(lambda state: find_network(state, call.ref))))


async def remove(call: Call) -> web.StreamResponse:
    """End a network, if no service uses it. Those of every engine are not the swarm's to end."""
    if call.ref in LOCAL_NAMES:
        raise ApiError(403, f"{call.ref} is a pre-defined network and cannot be removed")
    network = await call.read(lambda state: find_network(state, call.ref))
    if network.predefined:
        # Docker does not find these by their ids
        raise ApiError(404, f"network {call.ref} not found")
    await call.cluster.networks.remove(network.id, actor=call.actor)
    return empty_answer(status=204)


def _check(body: NetworkBody) -> None:
    """Refuse what is no network of the swarm's."""
    if body.config_only:
        raise not_implemented("networks that are configurations of others (ConfigOnly), which are one engine's")
    if body.config_from is not None and body.config_from.network:
        _check_configured_elsewhere(body)
    if body.driver == "overlay" and body.scope == "local":
        raise ApiError(403, "cannot downgrade network scope for overlay networks")
    if body.driver != "overlay" and body.scope != "swarm":
        if not body.name:
            raise Rejected.unknown("invalid name: ", bare=True)
        if body.driver not in _LOCAL_DRIVERS:
            raise ApiError(404, f'plugin "{body.driver}" not found')
        raise not_implemented(
            f"networks of one engine (Driver={body.driver or 'bridge'}, Scope={body.scope or 'local'})"
        )


def _check_configured_elsewhere(body: NetworkBody) -> None:
    """Refuse settings of a network that takes them from another, in the words of an engine."""
    why = "are not supported if the network depends on a configuration network"
    ipam = body.ipam
    addresses = ipam is not None and (ipam.driver not in IPAM_DRIVERS or ipam.options or ipam.config)
    if addresses or body.enable_ipv6 or body.labels:
        raise ApiError(403, f"user specified configurations {why}")
    if body.options:
        raise ApiError(403, f"network driver options {why}")


def _fits(filters: Filters, network: Network, used: bool) -> bool:
    return (
        filters.prefix("id", network.id)
        and filters.exact("name", network.spec.name)
        and filters.labels("label", network.spec.labels)
        and filters.exact("driver", driver_of(network))
        and filters.exact("scope", "swarm")
        and filters.exact("type", "custom")
        and _fits_use(filters, used=used)
    )


def _fits_use(filters: Filters, *, used: bool) -> bool:
    wanted = filters.get("dangling")
    return not wanted or any(word in (_FALSE if used else _TRUE) for word in wanted)
