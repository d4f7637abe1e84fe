"""Secrets and configs, in plain, as a node's tasks need them: never to be logged."""

from skep.ports.link import AssignedConfig, AssignedSecret

from skep_adapters.swarmkit.render_driver import render_annotations, render_driver
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2


def render_secret(secret: AssignedSecret) -> objects_pb2.Secret:
    """Return a secret; where it is a template the engine expands it, for each task."""
    spec = specs_pb2.SecretSpec(
        annotations=render_annotations(secret.name, None),
        data=secret.data,
        templating=render_driver(secret.templating),
    )
    return objects_pb2.Secret(id=secret.id, spec=spec)


def render_config(config: AssignedConfig) -> objects_pb2.Config:
    """Return a config; where it is a template the engine expands it, for each task."""
    spec = specs_pb2.ConfigSpec(
        annotations=render_annotations(config.name, None),
        data=config.data,
        templating=render_driver(config.templating),
    )
    return objects_pb2.Config(id=config.id, spec=spec)
