"""What is asked of services, their lines excepted."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from skep.core.decide.service import as_kept
from skep.core.lookup import find_service
from skep.core.rules.service import check_translation
from skep.core.state import ClusterState
from skep.core.tally import Tally, tally
from skep.model.service import Service, ServiceSpec

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import chosen, empty_answer, json_answer, list_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.image_digest import pinned
from skep_adapters.docker_api.local_networks import networks_resolved
from skep_adapters.docker_api.render_service import render_service
from skep_adapters.docker_api.spec_by_version import as_spoken

_Row = tuple[Service, Tally | None]


async def list_services(call: Call) -> web.StreamResponse:
    """Answer the services that the filters want, by id; by name if they are wanted by name."""
    filters = call.filters(status=400)
    # clients before 1.41 do not know of it: what they say is not even read
    counted = not call.before("1.41") and call.truth("status")

    def ask(state: ClusterState) -> list[_Row]:
        filters.check(known.SERVICE)
        return [(service, tally(state, service) if counted else None) for service in state.services.values()]

    rows = await chosen(await call.read(ask), lambda row: _fits(filters, row[0]), _order(filters))
    return await list_answer(call.request, rows, lambda row: render_service(row[0], counted=row[1], write=call.specs))


async def create(call: Call) -> web.StreamResponse:
    """Begin a service, with the credentials that its nodes need for its registry."""
    spec, warnings = await pinned(call, await _spec(call))
    service_id = await call.cluster.services.create(spec, registry_auth=call.registry_auth, actor=call.actor)
    answer: dict[str, Any] = {"ID": service_id}
    if warnings := [*warnings, *call.warnings(spec)]:
        answer["Warnings"] = warnings
    return json_answer(answer, status=201)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one service, with Swarm's defaults where it says nothing if asked."""
    defaults = call.truth("insertDefaults")
    service = await call.read(lambda state: find_service(state, call.ref))
    return json_answer(render_service(service, defaults=defaults))


async def update(call: Call) -> web.StreamResponse:
    """Give a service a new spec, or with `rollback=previous` the one that it had before."""
    spec = await _spec(call)
    version = call.version("service")

    def ask(state: ClusterState) -> Service:
        as_kept(state, spec)  # its networks have to be there, whatever else is wrong
        check_translation(spec)
        return find_service(state, call.ref)

    service = await call.read(ask)
    keeps = call.param("registryAuthFrom")
    if not call.registry_auth and keeps not in ("", "spec", "previous-spec"):
        raise ApiError(500, "unsupported registryAuthFrom value")
    warnings: list[str] = []
    match call.param("rollback"):
        case "previous":
            await call.cluster.services.rollback(service.id, version, actor=call.actor)
        case "" | "none":
            spec, warnings = await pinned(call, spec)
            await call.cluster.services.update(
                service.id,
                version,
                spec,
                registry_auth=call.registry_auth,
                previous_registry_auth=keeps == "previous-spec",
                actor=call.actor,
            )
            warnings += call.warnings(spec)
        case other:
            raise ApiError(500, f"unrecognized rollback option {other}")
    return json_answer({"Warnings": warnings or None})


async def remove(call: Call) -> web.StreamResponse:
    """End a service; its tasks stop afterwards."""
    service = await call.read(lambda state: find_service(state, call.ref))
    await call.cluster.services.remove(service.id, actor=call.actor)
    return empty_answer()


async def _spec(call: Call) -> ServiceSpec:
    """Read a spec as the client's version of the API has it, its networks by names that the swarm knows."""
    return await networks_resolved(call, as_spoken(await call.body(ServiceSpec), call.spoken))


def _fits(filters: Filters, service: Service) -> bool:
    return (
        filters.prefix("id", service.id)
        and filters.prefix("name", service.spec.name)
        and filters.labels("label", service.spec.labels)
        and filters.exact("mode", service.spec.kind)
        and filters.exact("runtime", service.spec.template.runtime or "container")
    )


def _order(filters: Filters) -> Callable[[_Row], str]:
    if "name" in filters:
        return lambda row: row[0].spec.name
    return lambda row: row[0].id
