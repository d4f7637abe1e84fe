"""What is asked of secrets."""

from collections.abc import Callable

from aiohttp import web
from skep.core.decide.secret import ONLY_LABELS
from skep.core.lookup import find_secret
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.secret import Secret, SecretSpec

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import chosen, empty_answer, json_answer, list_answer
from skep_adapters.docker_api.bodies import SecretBody
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import bad_request
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_secret import render_secret


async def list_secrets(call: Call) -> web.StreamResponse:
    """Answer the secrets that the filters want, by id; by name if they are wanted by name."""
    filters = call.filters(status=500)

    def ask(state: ClusterState) -> list[Secret]:
        filters.check(known.SECRET)
        return list(state.secrets.values())

    secrets = await chosen(await call.read(ask), lambda secret: _fits(filters, secret), _order(filters))
    return await list_answer(call.request, secrets, render_secret)


async def create(call: Call) -> web.StreamResponse:
    """Begin a secret."""
    body = await call.body(SecretBody)
    if body.templating is not None and call.before("1.37"):
        raise bad_request(f"secret templating is not supported on the specified API version: {call.spoken}")
    secret_id = await call.cluster.secrets.create(_spec(body), body.data or b"", actor=call.actor)
    return json_answer({"ID": secret_id}, status=201)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one secret, without its data."""
    return json_answer(render_secret(await call.read(lambda state: find_secret(state, call.ref))))


async def update(call: Call) -> web.StreamResponse:
    """Give a secret new labels."""
    body = await call.body(SecretBody)
    version = call.version("secret")
    secret = await call.read(lambda state: find_secret(state, call.ref))
    if not body.name:  # the embedding API may leave it unsaid
        raise Rejected.invalid(ONLY_LABELS)
    await call.cluster.secrets.update(secret.id, version, _spec(body), body.data, actor=call.actor)
    return empty_answer()


async def remove(call: Call) -> web.StreamResponse:
    """End a secret, if no service uses it."""
    secret = await call.read(lambda state: find_secret(state, call.ref))
    await call.cluster.secrets.remove(secret.id, actor=call.actor)
    return empty_answer(status=204)


def _spec(body: SecretBody) -> SecretSpec:
    return SecretSpec(name=body.name, labels=body.labels, driver=body.driver, templating=body.templating)


def _fits(filters: Filters, secret: Secret) -> bool:
    return (
        filters.prefix("id", secret.id)
        and filters.prefix("name", secret.spec.name)
        and filters.exact("names", secret.spec.name)
        and filters.labels("label", secret.spec.labels)
    )


def _order(filters: Filters) -> Callable[[Secret], str]:
    if "name" in filters or "names" in filters:
        return lambda secret: secret.spec.name
    return lambda secret: secret.id
