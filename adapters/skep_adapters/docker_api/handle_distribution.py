"""What an image is, as its registry says: asked before a service is made of it, so that all nodes run the same one."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web
from skep.core.state import ClusterState
from skep.model import service as swarm
from skep.ports.registry import ImageFound, Platform, RegistryError

from skep_adapters.docker_api.answers import json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, not_implemented
from skep_adapters.docker_api.passthrough import forward
from skep_adapters.docker_api.passthrough_engine import EngineGone, LocalEngine


class _Described(msgspec.Struct):
    digest: str


class _HeardPlatform(msgspec.Struct):
    architecture: str = ""
    os: str = ""


class _Heard(msgspec.Struct, rename="pascal"):
    descriptor: _Described
    platforms: list[_HeardPlatform] | None = None


#: What is known of an image: its digest, and what it runs on.
Description = tuple[str, tuple[swarm.Platform, ...]]

#: Of these an image may be for several versions, which it does not say: as Docker's client has it, none is said then.
_UNSAID = "arm"


async def inspect(call: Call) -> web.StreamResponse:
    """Answer an image's digest and platforms: the engine does, or else a registry is asked for the members' sake."""
    if call.engine is not None:
        try:
            return await forward(call)
        except EngineGone:
            if call.registry is None:
                raise
    found = await _looked_up(call, call.ref)
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
    return json_answer({"Descriptor": descriptor, "Platforms": [_platform(one) for one in found.platforms] or None})


async def digest_of(call: Call, image: str) -> str:
    """Return the digest of an image, of whoever answers for `inspect`; empty where the names of images mean nothing.

    Raises:
        ApiError: nobody could say.
    """
    return (await described(call, image))[0]


async def described(call: Call, image: str) -> Description:
    """Return the digest of an image and what it runs on, as `digest_of` does.

    Raises:
        ApiError: nobody could say.
    """
    if call.engine is not None:
        try:
            return await _described_by_engine(call, call.engine, image)
        except EngineGone:
            if call.registry is None:
                raise
    elif call.registry is None or not await call.read(_has_engines):
        return "", ()
    found = await _looked_up(call, image)
    return found.digest, _platforms((one.architecture, one.os) for one in found.platforms)


async def _described_by_engine(call: Call, engine: LocalEngine, image: str) -> Description:
    said = {"X-Registry-Auth": call.registry_auth} if call.registry_auth else {}
    heard = await engine.ask(f"/distribution/{quote(image)}/json", headers=said)
    if heard.status != web.HTTPOk.status_code:
        raise ApiError(heard.status, f"{image} could not be accessed on a registry")
    try:
        found = msgspec.json.decode(heard.body, type=_Heard)
    except msgspec.DecodeError as error:
        raise ApiError(502, "the Docker Engine answered something that describes no image") from error
    return found.descriptor.digest, _platforms((one.architecture, one.os) for one in found.platforms or ())


def _platforms(known: Iterable[tuple[str, str]]) -> tuple[swarm.Platform, ...]:
    return tuple(swarm.Platform("" if arch.lower() == _UNSAID else arch, os) for arch, os in known)


async def _looked_up(call: Call, image: str) -> ImageFound:
    if call.registry is None or not (call.engine is not None or await call.read(_has_engines)):
        raise not_implemented("looking up images in registries where no Docker Engine runs tasks")
    try:
        return await call.registry.look_up(image, _credentials(call.registry_auth))
    except RegistryError as error:
        raise ApiError(error.status, str(error)) from error


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
