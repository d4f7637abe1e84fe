"""What the engine makes of stack files is what Docker's own client makes of them, part by part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker_harness import DOCKER, served
from skep.core.state import ClusterState
from skep.model.secret import ConfigSpec, SecretSpec
from skep.runtime.cluster import Cluster
from skep_adapters.compose import ComposeFiles

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker CLI here")

FILES = Path(__file__).parents[1] / "compose" / "files"

#: What the client has of its own, as the harness runs it.
HOME = {"HOME": "/nowhere"}

VARIABLES = {"TAG": "t", "SET": "set", "EMPTIED": "", "OUTSIDE": "outside", "EMPTY": "filled"}

CASTS = {"IMAGE": "demo", "ON": "on", "OFF": "False", "YES": "y", "PORT": "7", "RATIO": "0.25"}


def _parts(state: ClusterState) -> dict[str, Any]:
    """Return what a stack made, by name, ids replaced by names."""
    names = {one.id: one.spec.name for one in state.networks.values()}
    names |= {one.id: one.spec.name for one in state.secrets.values()}
    names |= {one.id: one.spec.name for one in state.configs.values()}

    def named(value: Any) -> Any:
        match value:
            case dict():
                return {key: named(one) for key, one in value.items()}
            case list() | tuple():
                return [named(one) for one in value]
            case str():
                return names.get(value, value)
        return value

    specs = [one.spec for one in (*state.services.values(), *state.secrets.values(), *state.configs.values())]
    specs += [one.spec for one in state.networks.values() if not one.predefined and not one.spec.ingress]
    return {f"{type(spec).__name__} {spec.name}": named(msgspec.to_builtins(spec)) for spec in specs}


async def _both(files: tuple[str, ...], env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the client made of files, and what the engine did."""
    paths = [FILES / name for name in files]
    async with served(api_max="1.52") as api:
        for kind in ("secret", "config"):
            await api.docker(kind, "create", f"ext{kind[0]}", "-", stdin="e")
        options = [word for path in paths for word in ("-c", str(path))]
        await api.docker("stack", "deploy", "--detach", "--resolve-image", "never", *options, "app", env=env)
        theirs = await api.cluster.read(_parts)
    async with Cluster.open(stack_files=ComposeFiles()) as cluster:
        await cluster.secrets.create(SecretSpec(name="exts"), b"e")
        await cluster.configs.create(ConfigSpec(name="extc", data=b"e"))
        await cluster.stacks.deploy(paths, name="app", env={**HOME, **env})
        ours = await cluster.read(_parts)
    return theirs, ours


@pytest.mark.parametrize(
    ("files", "env"),
    [
        (("whole.yml",), {}),
        (("forms.yml",), VARIABLES),
        (("casts.yml",), CASTS),
        (("under.yml",), {}),
        (("under.yml", "over.yml"), {"C": "outside"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
async def test_a_stack_is_what_the_client_makes_of_its_files(files: tuple[str, ...], env: dict[str, str]) -> None:
    theirs, ours = await _both(files, env)
    assert _flat(ours) == _flat(theirs)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a value by their paths: a difference is shown where it is."""
    if isinstance(value, dict) and value:
        return {at: leaf for key, one in value.items() for at, leaf in _flat(one, f"{path}.{key}").items()}
    if isinstance(value, list | tuple) and value:
        return {at: leaf for index, one in enumerate(value) for at, leaf in _flat(one, f"{path}[{index}]").items()}
    return {path: value}
