"""Properties that no swarm has: some are refused, as they say what would not be so; others have no effect."""

from collections.abc import Mapping, Sequence
from typing import Any

from skep_adapters.compose.place import Place

#: Kept from Compose's other formats: a service that has them means something that it would not get.
_REFUSED = {
    "extends": "is no property of version 3: give several files instead",
    "volume_driver": "belongs to a volume: say the driver among the file's volumes",
    "volumes_from": "is no property of version 3: name a volume of the file in each service",
    "cpu_quota": "is said by deploy.resources",
    "cpu_shares": "is said by deploy.resources",
    "cpuset": "is said by deploy.resources",
    "mem_limit": "is said by deploy.resources",
    "memswap_limit": "is said by deploy.resources",
}

_WITHOUT_EFFECT = (
    *("build", "cgroupns_mode", "cgroup_parent", "devices", "domainname", "external_links", "ipc", "links"),
    *("mac_address", "network_mode", "pid", "privileged", "restart", "security_opt", "shm_size", "tmpfs"),
    "userns_mode",
)

_DEPRECATED = {
    "container_name": "the name of a container cannot be set.",
    "expose": "services on the same network reach each other on any port.",
}


def refuse_others(file: Mapping[str, Any], place: Place) -> None:
    """Refuse properties that would mean something else than they say."""
    for name, service in _services(file).items():
        for key in service:
            if key in _REFUSED:
                place.at("services").at(name).at(key).refuse(_REFUSED[key])


def notices(files: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a sentence for what has no effect in these files, in the order of names."""
    used = {key for file in files for service in _services(file).values() for key in service}
    ignored = sorted(used & set(_WITHOUT_EFFECT))
    told = [f"Ignoring unsupported options: {', '.join(ignored)}"] if ignored else []
    told += [f"Ignoring deprecated option {key}: {_DEPRECATED[key]}" for key in sorted(used & set(_DEPRECATED))]
    return tuple(told)


def _services(file: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    services = file.get("services")
    known = services.items() if isinstance(services, dict) else ()
    return {name: service for name, service in known if isinstance(service, dict)}
