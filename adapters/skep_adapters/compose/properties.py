"""Which properties a stack file has, and the shape of each: Compose's format 3.0 to 3.13.

What came later than 3.0 says since when it is there, as Docker's client has it.
"""

import re
from typing import Any

from skep_adapters.compose.place import Place
from skep_adapters.compose.shapes import (
    Shape,
    Since,
    anything,
    count,
    cpus,
    different,
    duration,
    fields,
    labels,
    listing,
    named,
    number,
    one_of,
    one_or_many,
    or_nothing,
    pairs,
    scalar,
    scalar_or_nothing,
    size,
    text,
    truth,
    whole,
    words,
)
from skep_adapters.compose.short_ports import PORT_MAX, short_ports
from skep_adapters.compose.short_volumes import short_volume
from skep_adapters.compose.word_split import split_words

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_LIMIT_NAME = re.compile(r"[a-z]+")

#: The newest version of the format: what a file is of that says none.
NEWEST = 13

_ORDER = Since(4, one_of("start-first", "stop-first"))


def _is_name(key: str) -> bool:
    return _NAME.fullmatch(key) is not None


def _port(value: Any, place: Place) -> int:
    port = count(value, place)
    if port > PORT_MAX:
        place.refuse_value(value, f"a port of at most {PORT_MAX}")
    return port


def _command(value: Any, place: Place) -> list[str]:
    return split_words(value, place) if isinstance(value, str) else words(value, place)


def _check(value: Any, place: Place) -> list[str]:
    return ["CMD-SHELL", value] if isinstance(value, str) else words(value, place)


_LONG_PORT = fields({"mode": text, "target": _port, "published": _port, "protocol": text})


def _ports(value: Any, place: Place) -> list[dict[str, Any]]:
    ports = []
    for index, one in enumerate(listing(anything)(value, place)):
        at = place.at(index)
        if isinstance(one, dict):
            if place.minor < 2:  # noqa: PLR2004 - as the table says it of others
                at.refuse("may be a mapping since version 3.2")
            ports.append(_LONG_PORT(one, at))
        else:
            ports += short_ports(scalar(one, at), at)
    return ports


_LONG_VOLUME = fields(
    {
        "type": text,
        "source": text,
        "target": text,
        "read_only": truth,
        "consistency": text,
        "bind": fields({"propagation": text}, extensions=0),
        "volume": fields({"nocopy": truth, "subpath": text}, extensions=0),
        "tmpfs": Since(6, fields({"size": count}, extensions=0)),
        "image": fields({"subpath": text}, extensions=0),
        "cluster": fields({}, extensions=0),
    }
)


def _volume(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, str):
        return short_volume(value, place)
    if place.minor < 2:  # noqa: PLR2004 - as the table says it of others
        place.refuse_value(value, "text before version 3.2")
    volume: dict[str, Any] = _LONG_VOLUME(value, place)
    if "type" not in volume:
        place.refuse("needs a type")
    return volume


_LONG_REFERENCE = fields({"source": text, "target": text, "uid": text, "gid": text, "mode": count})


def _reference(value: Any, place: Place) -> dict[str, Any]:
    return {"source": value} if isinstance(value, str) else _LONG_REFERENCE(value, place)


def _networks(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, list):
        return {name: {} for name in different(value, place)}
    return named(or_nothing(_NETWORK_OF_SERVICE), name=_is_name)(value, place)  # type: ignore[no-any-return]  # as said


_NETWORK_OF_SERVICE = fields(
    {
        "aliases": different,
        "driver_opts": Since(13, named(scalar)),
        "ipv4_address": text,
        "ipv6_address": text,
    }
)


def _hosts(value: Any, place: Place) -> list[str]:
    """Read hosts as `HOST:ADDRESS`, those of a mapping by name."""
    if isinstance(value, list):
        rows = [re.match("([^=]*)=(.*)|([^:]*):(.*)", one, re.DOTALL) for one in different(value, place)]
        split = [(row[1] or row[3] or "", row[2] or row[4] or "") for row in rows if row is not None]
    else:
        read = named(scalar_or_nothing)(value, place)
        split = sorted((name, address) for name, address in read.items() if address is not None)
    return [f"{name}:{_unbracketed(address)}" for name, address in split]


def _unbracketed(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address  # noqa: PLR2004 - brackets


def _limit(value: Any, place: Place) -> dict[str, int]:
    if isinstance(value, dict):
        read: dict[str, int] = fields({"soft": whole, "hard": whole})(value, place)
        if len(read) != 2:  # noqa: PLR2004 - soft and hard
            place.refuse("needs both soft and hard")
        return read
    single = whole(value, place)
    return {"soft": single, "hard": single}


def _since_3(minor: int, **known: Shape) -> dict[str, Since]:
    return {key: Since(minor, shape) for key, shape in known.items()}


_UPDATE = fields(
    {
        "parallelism": count,
        "delay": duration,
        "failure_action": text,
        "monitor": duration,
        "max_failure_ratio": number,
        "order": _ORDER,
    }
)

_GENERIC = listing(fields({"discrete_resource_spec": fields({"kind": text, "value": whole})}))

_DEPLOY = fields(
    {
        "mode": text,
        "endpoint_mode": Since(2, text),
        "replicas": count,
        "labels": labels,
        "update_config": _UPDATE,
        "rollback_config": Since(7, _UPDATE),
        "resources": fields(
            {
                "limits": fields({"cpus": cpus, "memory": size, "pids": Since(9, whole)}),
                "reservations": fields({"cpus": cpus, "memory": size, "generic_resources": Since(5, _GENERIC)}),
            }
        ),
        "restart_policy": fields({"condition": text, "delay": duration, "max_attempts": count, "window": duration}),
        "placement": fields(
            {
                "constraints": words,
                "preferences": Since(3, listing(fields({"spread": text}))),
                "max_replicas_per_node": Since(8, count),
            }
        ),
    }
)

_SERVICE = fields(
    {
        **dict.fromkeys(("build", "shm_size", "expose"), anything),
        **dict.fromkeys(("cap_add", "cap_drop", "depends_on", "devices", "external_links", "links"), different),
        **dict.fromkeys(("dns", "dns_search", "env_file", "tmpfs"), one_or_many),
        **dict.fromkeys(("cgroup_parent", "container_name", "domainname", "hostname", "image", "ipc"), text),
        **dict.fromkeys(("mac_address", "network_mode", "restart", "stop_signal", "user", "userns_mode"), text),
        **dict.fromkeys(("privileged", "read_only", "stdin_open", "tty"), truth),
        "command": _command,
        "configs": Since(3, listing(_reference)),
        "credential_spec": Since(3, fields({"config": Since(8, text), "file": text, "registry": text})),
        "cgroupns_mode": Since(9, text),
        "deploy": or_nothing(_DEPLOY),
        "entrypoint": _command,
        "environment": pairs,
        "extra_hosts": _hosts,
        "healthcheck": fields(
            {
                "disable": truth,
                "interval": duration,
                "retries": count,
                "test": _check,
                "timeout": duration,
                **_since_3(4, start_period=duration),
                **_since_3(12, start_interval=duration),
            }
        ),
        "init": Since(7, truth),
        "isolation": Since(5, text),
        "labels": labels,
        "logging": fields({"driver": text, "options": named(scalar_or_nothing)}),
        "networks": _networks,
        "oom_score_adj": Since(13, whole),
        "pid": anything,
        "ports": _ports,
        "secrets": Since(1, listing(_reference)),
        "security_opt": different,
        "stop_grace_period": duration,
        "sysctls": labels,
        "ulimits": named(_limit, name=lambda key: _LIMIT_NAME.fullmatch(key) is not None),
        "volumes": listing(_volume),
        "working_dir": text,
    },
    extensions=7,
)


def _external(value: Any, place: Place) -> dict[str, Any]:
    """Read whether something is there already, and by which name: an old form says that here."""
    if isinstance(value, dict):
        return {"is": True, **fields({"name": text})(value, place)}
    return {"is": truth(value, place)}


_NETWORK = fields(
    {
        "name": Since(5, text),
        "driver": text,
        "driver_opts": named(scalar),
        "ipam": fields({"driver": text, "config": listing(fields({"subnet": text}))}),
        "external": _external,
        "internal": truth,
        "attachable": Since(2, truth),
        "labels": labels,
    },
    extensions=7,
)

_VOLUME = fields(
    {
        "name": Since(4, text),
        "driver": text,
        "driver_opts": named(scalar),
        "external": _external,
        "labels": labels,
    },
    extensions=7,
)

_CONFIG = fields(
    {
        "name": Since(5, text),
        "file": text,
        "external": _external,
        "labels": labels,
        "template_driver": Since(8, text),
    },
    extensions=7,
)

_SECRET = fields(
    {
        "name": Since(5, text),
        "file": text,
        "external": _external,
        "labels": labels,
        "driver": Since(8, text),
        "driver_opts": Since(8, named(scalar)),
        "template_driver": Since(8, text),
    },
    extensions=7,
)

#: A whole file.
STACK_FILE = fields(
    {
        "version": anything,
        "services": named(_SERVICE, name=_is_name),
        "networks": named(or_nothing(_NETWORK), name=_is_name),
        "volumes": named(or_nothing(_VOLUME), name=_is_name),
        "secrets": Since(1, named(_SECRET, name=_is_name)),
        "configs": Since(3, named(_CONFIG, name=_is_name)),
    },
    extensions=4,
)
