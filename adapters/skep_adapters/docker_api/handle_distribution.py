"""What an image is, as its registry says: asked before a service is made of it, so that all nodes run the same one."""

import base64
import binascii
from typing import Any

import msgspec
from aiohttp import web
from skep.core.state import ClusterState
from skep.ports.registry import Platform, RegistryError

from skep_adapters.docker_api.answers import json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, not_implemented
from skep_adapters.docker_api.passthrough import forward
from skep_adapters.docker_api.passthrough_engine import EngineGone


async def inspect(call: Call) -> web.StreamResponse:
    """Answer an image's digest and platforms: the engine does, or else a registry is asked for the members' sake."""
    if call.engine is not None:
        try:
            return await forward(call)
        except EngineGone:
            if call.registry is None:
                raise
    if call.registry is None or not (call.engine is not None or await call.read(_has_engines)):
        raise not_implemented("looking up images in registries where no Docker Engine runs tasks")
    try:
        found = await call.registry.look_up(call.ref, _credentials(call.registry_auth))
    except RegistryError as error:
        raise ApiError(error.status, str(error)) from error
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
    return json_answer({"Descriptor": descriptor, "Platforms": [_platform(one) for one in found.platforms] or None})


def _has_engines(state: ClusterState) -> bool:
    """Whether a Docker Engine is a member: to all other executors the name of an image means something else."""
    return any(node.certified for node in state.nodes.values())


def _credentials(field: str) -> dict[str, str]:
    """Read the credentials of a head; what cannot be read is none, as with Docker."""
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(field.encode() + b"=" * (-len(field) % 4)))
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {str(name).lower(): value for name, value in said.items() if isinstance(value, str)}


def _platform(one: Platform) -> dict[str, Any]:
    document: dict[str, Any] = {"architecture": one.architecture, "os": one.os}
    more = {"os.version": one.os_version, "os.features": list(one.os_features), "variant": one.variant}
    return document | {name: value for name, value in more.items() if value}
