"""Networks of the machine's own engine that a service names: by id, by name, or by the beginning of an id.

Docker's client asks for a network by name, and sends the id that it is told. So the engine's `host` and `bridge` may
come by an id that the swarm does not know: the swarm's of that name is meant. No other network of one machine can have
tasks of services.
"""

from typing import Any
from urllib.parse import quote

import structlog
from aiohttp import web
from msgspec.structs import replace
from skep.core.lookup import find_network
from skep.core.rejected import Code, Rejected
from skep.core.rules.network import LOCAL_NAMES
from skep.core.state import ClusterState
from skep.model.service import NetworkAttachment, ServiceSpec

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.passthrough_engine import EngineGone

_LOG = structlog.get_logger("skep.docker_api")

_ONLY_THE_SWARMS = (
    "The network {} cannot be used with services. Only networks scoped to the swarm can be used, such as those created "
    "with the overlay driver."
)


async def networks_resolved(call: Call, spec: ServiceSpec) -> ServiceSpec:
    """Return a spec in which the predefined networks that it means have names that the swarm knows.

    Raises:
        ApiError: it names a network of this machine's that services cannot be on.
    """
    task = spec.task_template
    if call.engine is None or not call.cluster.active:
        return spec
    if task is not None and task.networks:
        return replace(spec, task_template=replace(task, networks=await _resolved(call, task.networks)))
    return replace(spec, networks=await _resolved(call, spec.networks)) if spec.networks else spec


async def _resolved(call: Call, networks: tuple[NetworkAttachment, ...]) -> tuple[NetworkAttachment, ...]:
    unknown = await call.read(lambda state: [one.target for one in networks if not _is_known(state, one.target)])
    meant = {target: await _meant(call, target) for target in dict.fromkeys(unknown) if target}
    return tuple(replace(one, target=meant.get(one.target, one.target)) for one in networks)


def _is_known(state: ClusterState, target: str) -> bool:
    try:
        find_network(state, target)
    except Rejected as rejected:
        # what is ambiguous is refused as such
        return rejected.code is not Code.NOT_FOUND
    return True


async def _meant(call: Call, target: str) -> str:
    """Return what the swarm calls a network that it does not know by `target`: as it came if the engine has none."""
    try:
        theirs = await network_of_engine(call, target)
    except EngineGone as gone:
        _LOG.warning("a network of a service is not looked for on this machine", reason=str(gone))
        return target
    name = str(theirs.get("Name", ""))
    if name in LOCAL_NAMES:
        if await call.read(lambda state: name not in state.network_names):
            why = "could not find the corresponding predefined swarm network"
            raise ApiError(404, f"{why}: network {name} not found")
        return name
    if theirs and theirs.get("Scope") != "swarm":
        raise ApiError(403, _ONLY_THE_SWARMS.format(name))
    return target


async def network_of_engine(call: Call, ref: str, query: str = "") -> dict[str, Any]:
    """Return the engine's network of that id or name, or of which that is the beginning of the id; empty if none.

    Raises:
        EngineGone: the engine did not answer.
    """
    if call.engine is None or not ref:
        return {}
    heard = await call.engine.ask(f"/networks/{quote(ref, safe='')}" + (f"?{query}" if query else ""))
    document: Any = heard.json() if heard.status == web.HTTPOk.status_code else {}
    return document if isinstance(document, dict) else {}
