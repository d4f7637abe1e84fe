"""The networks, secrets and configs of a stack, as the engine has them. Those that are external are left out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from skep.model.container import Driver
from skep.model.network import Ipam, IpamConfig, NetworkSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.stack import StackSecret

from skep_adapters.compose.naming import external_name, is_external, labelled, scoped
from skep_adapters.compose.place import Place

#: Reads a file that another names, by its path as written; refuses at the place.
ReadFile = Callable[[str, Place], bytes]


def networks_of(
    stack: str, used: Iterable[str], networks: Mapping[str, Any]
) -> tuple[tuple[NetworkSpec, ...], tuple[str, ...]]:
    """Return the networks that are the stack's, and the names of those that are to be there."""
    own, external = [], []
    for name in used:
        said = networks.get(name, {})
        if is_external(said):
            external.append(external_name(said, name))
        else:
            own.append(_network(stack, name, said))
    return tuple(own), tuple(external)


def _network(stack: str, name: str, said: Mapping[str, Any]) -> NetworkSpec:
    ipam = said.get("ipam", {})
    asked = bool(ipam.get("driver") or ipam.get("config"))
    ranges = tuple(IpamConfig(subnet=one.get("subnet", "")) for one in ipam.get("config", ()))
    return NetworkSpec(
        name=scoped(stack, name, said),
        labels=labelled(stack, said.get("labels")),
        driver=Driver(said.get("driver") or "overlay", said.get("driver_opts", {})),
        internal=said.get("internal", False),
        attachable=said.get("attachable", False),
        ipam=Ipam(driver=Driver(ipam.get("driver") or "default"), configs=ranges) if asked else None,
    )


def secrets_of(stack: str, secrets: Mapping[str, Any], place: Place, read: ReadFile) -> tuple[StackSecret, ...]:
    """Return the secrets that are the stack's, with their data."""
    return tuple(
        _secret(stack, name, said, place.at(name), read)
        for name, said in sorted(secrets.items())
        if not is_external(said)
    )


def _secret(stack: str, name: str, said: Mapping[str, Any], place: Place, read: ReadFile) -> StackSecret:
    driver = said.get("driver")
    if driver and said.get("file"):
        place.refuse("has a driver and a file: only one of them says what is in it")
    spec = SecretSpec(
        name=scoped(stack, name, said),
        labels=labelled(stack, said.get("labels")),
        driver=Driver(driver, said.get("driver_opts", {})) if driver else None,
        templating=_templating(said),
    )
    return StackSecret(spec, b"" if driver else _data(said, place, read))


def configs_of(stack: str, configs: Mapping[str, Any], place: Place, read: ReadFile) -> tuple[ConfigSpec, ...]:
    """Return the configs that are the stack's, with their data."""
    return tuple(
        ConfigSpec(
            name=scoped(stack, name, said),
            labels=labelled(stack, said.get("labels")),
            data=_data(said, place.at(name), read),
            templating=_templating(said),
        )
        for name, said in sorted(configs.items())
        if not is_external(said)
    )


def _templating(said: Mapping[str, Any]) -> Driver | None:
    return Driver(said["template_driver"]) if said.get("template_driver") else None


def _data(said: Mapping[str, Any], place: Place, read: ReadFile) -> bytes:
    if not said.get("file"):
        place.refuse("needs a file, or to be external")
    return read(said["file"], place.at("file"))
