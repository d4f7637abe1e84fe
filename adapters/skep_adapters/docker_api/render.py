"""Specs as Go writes them: what is always there, what is left out when empty.

The structs have the API's field names already; here stands only what Go writes although nobody said it, and with what
value (recorded: FACTS, chapter 2). The order of fields is that of the structs.
"""

import base64
import enum
import functools
import struct
from typing import Any

import msgspec
from skep.model import container, node, secret, service, swarm

#: By struct: fields that are always written, and what stands there if they were not said.
_ALWAYS: dict[type[msgspec.Struct], dict[str, Any]] = {
    container.ConfigReference: {"config_id": "", "config_name": ""},
    container.ContainerSpec: {"isolation": "default"},
    container.CredentialSpec: {"config": "", "file": "", "registry": ""},
    container.FileTarget: {"name": "", "uid": "", "gid": "", "mode": 0},
    container.Privileges: {"credential_spec": None, "se_linux_context": None},
    container.SecretReference: {"file": None, "secret_id": "", "secret_name": ""},
    container.SELinuxContext: {"disable": False, "user": "", "role": "", "type": "", "level": ""},
    container.Ulimit: {"name": "", "hard": 0, "soft": 0},
    node.NodeDescription: {
        "platform": service.Platform(),
        "resources": service.Reservations(),
        "engine": node.EngineDescription(),
        "tls_info": node.TlsInfo(),
    },
    node.NodeSpec: {"labels": {}},
    secret.ConfigSpec: {"labels": {}},
    secret.SecretSpec: {"labels": {}},
    service.PlacementPreference: {"spread": None},
    service.ReplicatedJobMode: {"max_concurrent": 1, "total_completions": 1},
    service.ReplicatedMode: {"replicas": 1},
    service.RestartPolicy: {"condition": "any", "max_attempts": 0},
    service.ServiceSpec: {
        "labels": {},
        "task_template": service.TaskSpec(),
        "mode": service.ServiceMode(replicated=service.ReplicatedMode()),
    },
    service.SpreadOver: {"spread_descriptor": ""},
    service.TaskSpec: {"force_update": 0, "runtime": "container"},
    service.UpdateConfig: {
        "parallelism": 0,
        "failure_action": "pause",
        "max_failure_ratio": 0,
        "order": "stop-first",
    },
    swarm.EncryptionConfig: {"auto_lock_managers": False},
    swarm.ExternalCa: {"protocol": "", "url": "", "ca_cert": ""},
    swarm.RaftConfig: {"election_tick": 0, "heartbeat_tick": 0},
    swarm.SwarmSpec: {
        "labels": {},
        "orchestration": swarm.OrchestrationConfig(),
        "raft": swarm.RaftConfig(),
        "dispatcher": swarm.DispatcherConfig(),
        "ca_config": swarm.CaConfig(),
        "task_defaults": swarm.TaskDefaults(),
        "encryption_config": swarm.EncryptionConfig(),
    },
}

#: What is never shown.
_NEVER: dict[type[msgspec.Struct], frozenset[str]] = {swarm.CaConfig: frozenset({"signing_ca_key"})}

_ABSENT: Any = object()

#: What JSON has too: most of what there is, so it is looked at first.
_AS_IT_IS = frozenset({bool, dict, int, str, type(None)})

_FLOAT32 = struct.Struct("<f")
#: less than what rounds to infinity
_FLOAT32_MAX = 3.4e38
#: so many tell any two of them apart
_FLOAT32_DIGITS = 9
#: Go writes larger ones with an exponent
_WRITTEN_OUT = 1e21


def render(value: Any) -> Any:
    """Return `value`, a struct or a part of one, as JSON's own types in the API's form."""
    if type(value) in _AS_IT_IS:
        return value
    match value:
        case msgspec.Struct():
            return _render_struct(value)
        case tuple() | list():
            return [render(one) for one in value]
        case enum.Enum():
            return value.value
        case bytes():
            return base64.b64encode(value).decode()
        case float():
            return number(value)
    return value


def number(value: float) -> float:
    """Return a fraction as Go writes its 32 bits: with the fewest digits that say them, and no point if it is whole."""
    if not abs(value) < _FLOAT32_MAX:
        return value
    (kept,) = _FLOAT32.unpack(_FLOAT32.pack(value))
    texts = (f"{kept:.{digits}g}" for digits in range(1, _FLOAT32_DIGITS + 1))
    short = float(next(text for text in texts if _FLOAT32.unpack(_FLOAT32.pack(float(text))) == (kept,)))
    return int(short) if short.is_integer() and abs(short) < _WRITTEN_OUT else short


def _render_struct(value: msgspec.Struct) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for attribute, name, default, always in _plan(type(value)):
        member = getattr(value, attribute)
        if member is None or member == default:
            if always is _ABSENT:
                continue
            member = always if member is None or member in ("", ()) else member
        document[name] = member if type(member) in _AS_IT_IS else render(member)
    return document


@functools.cache
def _plan(kind: type[msgspec.Struct]) -> list[tuple[str, str, Any, Any]]:
    """Return the fields of a struct: attribute, name in JSON, default, what is written if unsaid."""
    always, never = _ALWAYS.get(kind, {}), _NEVER.get(kind, frozenset())
    return [
        (one.name, one.encode_name, _default(one), always.get(one.name, _ABSENT))
        for one in msgspec.structs.fields(kind)
        if one.name not in never
    ]


def _default(one: msgspec.structs.FieldInfo) -> Any:
    return one.default if one.default_factory is msgspec.NODEFAULT else one.default_factory()
