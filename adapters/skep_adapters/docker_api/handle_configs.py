"""What is asked of configs."""

from collections.abc import Callable

from aiohttp import web
from skep.core.decide.secret import ONLY_LABELS
from skep.core.lookup import find_config
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.secret import Config, ConfigSpec

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import chosen, empty_answer, json_answer, list_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import bad_request
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_secret import render_config


async def list_configs(call: Call) -> web.StreamResponse:
    """Answer the configs that the filters want, by id; by name if they are wanted by name."""
    filters = call.filters(status=500)

    def ask(state: ClusterState) -> list[Config]:
        filters.check(known.CONFIG)
        return list(state.configs.values())

    configs = await chosen(await call.read(ask), lambda config: _fits(filters, config), _order(filters))
    return await list_answer(call.request, configs, render_config)


async def create(call: Call) -> web.StreamResponse:
    """Begin a config."""
    spec = await call.body(ConfigSpec)
    if spec.templating is not None and call.before("1.37"):
        raise bad_request(f"config templating is not supported on the specified API version: {call.spoken}")
    config_id = await call.cluster.configs.create(spec, actor=call.actor)
    return json_answer({"ID": config_id}, status=201)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one config, with its data."""
    return json_answer(render_config(await call.read(lambda state: find_config(state, call.ref))))


async def update(call: Call) -> web.StreamResponse:
    """Give a config new labels."""
    spec = await call.body(ConfigSpec)
    version = call.version("config")
    config = await call.read(lambda state: find_config(state, call.ref))
    if not spec.name:  # the embedding API may leave it unsaid
        raise Rejected.invalid(ONLY_LABELS)
    await call.cluster.configs.update(config.id, version, spec, actor=call.actor)
    return empty_answer()


async def remove(call: Call) -> web.StreamResponse:
    """End a config, if no service uses it."""
    config = await call.read(lambda state: find_config(state, call.ref))
    await call.cluster.configs.remove(config.id, actor=call.actor)
    return empty_answer(status=204)


def _fits(filters: Filters, config: Config) -> bool:
    return (
        filters.prefix("id", config.id)
        and filters.prefix("name", config.spec.name)
        and filters.exact("names", config.spec.name)
        and filters.labels("label", config.spec.labels)
    )


def _order(filters: Filters) -> Callable[[Config], str]:
    if "name" in filters or "names" in filters:
        return lambda config: config.spec.name
    return lambda config: config.id
