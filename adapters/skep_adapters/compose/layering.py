"""Files laid over each other: of several, each is laid over those before it, as Docker's client does it.

- Text and numbers of the later file stand; what is empty, zero or false there leaves what was said before.
- Mappings are laid over each other key by key. Lists are put behind each other.
- A command is replaced. Ports are known by where they are published, volumes by their target, secrets and configs by
  their source: of two that are the same the later one stands, and they come in this order.
- Networks, volumes, secrets and configs of the file's top are replaced whole.
"""

from collections.abc import Callable, Mapping
from typing import Any

_Layer = Callable[[Any, Any], Any]

_SECTIONS = ("networks", "volumes", "secrets", "configs")


def layered(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one file, as its properties have it, laid over another."""
    both = dict(under)
    services = dict(under.get("services", {}))
    for name, service in over.get("services", {}).items():
        services[name] = _mapping(services[name], service, _SERVICE) if name in services else service
    both["services"] = services
    for section in _SECTIONS:
        both[section] = {**under.get(section, {}), **over.get(section, {})}
    return both


def _mapping(under: Any, over: Any, rules: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(under)
    for key in (*under, *over):
        if rules.get(key) in _SORTED:
            both[key] = rules[key](under.get(key, []), over.get(key, []))
    for key, value in over.items():
        rule = rules.get(key)
        if rule in _SORTED:
            continue
        if key not in both:
            both[key] = value
        elif callable(rule):
            both[key] = rule(both[key], value)
        elif isinstance(value, dict):
            both[key] = _mapping(both[key], value, rule or {})
        elif isinstance(value, list):
            both[key] = [*both[key], *value]
        elif value:
            both[key] = value
    return both


def _last(_: Any, over: Any) -> Any:
    return over


def _if_any(under: Any, over: Any) -> Any:
    return over or under


def _by(key: str) -> _Layer:
    def layer(under: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known = {one.get(key): one for one in (*under, *over)}
        return [known[at] for at in sorted(known, key=lambda at: (at is not None, at))]

    return layer


def _networks(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(under)
    for name, network in over.items():
        if name in both and network:
            both[name] = {**both[name], **network, "aliases": network.get("aliases", [])}
        elif name not in both:
            both[name] = network
    return both


def _logging(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    drivers = under.get("driver", ""), over.get("driver", "")
    if all(drivers) and drivers[0] != drivers[1]:
        return over
    options = {**under.get("options", {}), **over.get("options", {})}
    return {"driver": drivers[0] or drivers[1], "options": options}


def _variables(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return variables laid over others: an empty one leaves what was said before, as with Docker's client."""
    return {**under, **{name: value for name, value in over.items() if value or name not in under}}


def _texts(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return {**under, **over}


_PORTS, _VOLUMES, _REFERENCES = _by("published"), _by("target"), _by("source")

#: What is put in order even where only one of the files has it.
_SORTED = (_PORTS, _VOLUMES, _REFERENCES)

_UPDATE = {"parallelism": _last}

_SERVICE: dict[str, Any] = {
    "command": _if_any,
    "entrypoint": _if_any,
    "configs": _REFERENCES,
    "secrets": _REFERENCES,
    "ports": _PORTS,
    "volumes": _VOLUMES,
    "networks": _networks,
    "logging": _logging,
    "environment": _variables,
    "labels": _texts,
    "sysctls": _texts,
    "ulimits": _texts,
    "deploy": {
        "replicas": _last,
        "labels": _texts,
        "update_config": _UPDATE,
        "rollback_config": _UPDATE,
        "restart_policy": {"max_attempts": _last},
    },
    "healthcheck": {"retries": _last},
}
