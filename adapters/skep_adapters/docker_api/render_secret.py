"""Secrets and configs as the API shows them: of secrets never the data."""

from typing import Any

from skep.model.secret import Config, Secret

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339


def render_secret(secret: Secret) -> dict[str, Any]:
    """Return a secret, without its data."""
    return _render(secret)


def render_config(config: Config) -> dict[str, Any]:
    """Return a config, with its data."""
    return _render(config)


def _render(thing: Secret | Config) -> dict[str, Any]:
    return {
        "ID": thing.id,
        "Version": {"Index": thing.version},
        "CreatedAt": rfc3339(thing.created_at),
        "UpdatedAt": rfc3339(thing.updated_at),
        "Spec": render(thing.spec),
    }
