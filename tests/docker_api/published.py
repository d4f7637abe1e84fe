"""Requests of every shape, drawn from Docker's published description of its API (cut by `cut_published.py`).

Most are what the description says, over a body that is enough; some parts of some are of another kind. `{service}` and
its like stand for the id of one that is there, `{service-version}` for its version: who sends them finds out.
"""

import json
import lzma
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_CUT = json.loads(lzma.decompress((Path(__file__).parent / "recorded" / "published.json.xz").read_bytes()))

#: One part in so many is of another kind than it should be.
WRONG_ONE_IN = 40

#: How many of the fields of an object are said.
FIELDS_MAX = 3

#: More tasks than this take memory and prove nothing.
TASKS_MAX = 12
_COUNTS = frozenset({"Replicas", "MaxConcurrent", "TotalCompletions"})

_KINDS = ("service", "node", "task", "secret", "config", "network")
_NAMES = ("web", "job", "door", "page", "net", "node1", "ingress")
_WORDS = (
    *_NAMES, "", "a", "A=1", "a=b=c", "node.labels.a==b", "node.role == manager", "bogus", "1h", "-1", "0", "nginx:1",
    "{{.Task.Slot}}", "{{.Bogus", "10.0.0.0/8", "10.9.0.0/24", "10.9.0.7", "fd00::/64", "0.0.0.0:2377", "overlay",
    "vip", "dnsrr", "ingress", "host", "tcp", "x" * 65, "x" * 3000, "\x00", "\n", "\ud800", "é", "\U0001f41d", "%",
    "../..", "{", "@sha256:",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 3, 80, 1000, 65535, 65536, 10**9, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64)

#: What a body has to say for the rest to be looked at.
_ENOUGH: dict[str, Any] = {
    "/services/create": {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}},
    "/services/{id}/update": {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}},
    "/secrets/create": {"Name": "door", "Data": "eA=="},
    "/secrets/{id}/update": {"Name": "door"},
    "/configs/create": {"Name": "page", "Data": "eA=="},
    "/configs/{id}/update": {"Name": "page", "Data": "eA=="},
    "/networks/create": {"Name": "net", "Driver": "overlay"},
    "/nodes/{id}/update": {"Role": "manager", "Availability": "active"},
    "/swarm/update": {"Name": "default"},
    "/swarm/init": {"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1"},
}

_VERSIONS = (*[""] * 6, *["/v1.44", "/v1.41", "/v1.40", "/v1.30", "/v1.24"] * 2, "/v1.23", "/v1.99", "/v0", "/v1.4444")

_FILTERS = (
    *("id", "name", "names", "label", "mode", "runtime", "membership", "node.label", "role", "_up-to-date", "node"),
    *("desired-state", "service", "driver", "scope", "type", "dangling", "until", "event", "bogus"),
)


#: Those that change something come more often.
_OFTEN = {"/services/create": 10, "/services/{id}/update": 10, "/networks/create": 5, "/swarm/update": 4}
_ENDPOINTS = [
    one
    for one in _CUT["endpoints"]
    for _ in range(_OFTEN.get(one["path"], 3 if "body" in one and not one["path"].endswith("connect") else 1))
]


class Request(NamedTuple):
    """One request; `target` is quoted already."""

    method: str
    target: str
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes | None = None


def _sometimes(usual: SearchStrategy[Any], other: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.integers(0, WRONG_ONE_IN).flatmap(lambda drawn: other if drawn == WRONG_ONE_IN else usual)


words = st.sampled_from(_WORDS) | st.text(max_size=12)
_numbers = st.sampled_from(_NUMBERS) | st.integers(-(2**65), 2**65)
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)


def _value(schema: dict[str, Any], name: str = "") -> SearchStrategy[Any]:
    """Draw what `schema` describes, or sometimes something else."""
    return _sometimes(_as_said(schema, name), _anything)


def _as_said(schema: dict[str, Any], name: str) -> SearchStrategy[Any]:
    if "$ref" in schema:
        referred = schema["$ref"].rpartition("/")[2]
        return st.deferred(lambda: _definition(referred))
    if "allOf" in schema:
        return st.tuples(*(_as_said(one, name) for one in schema["allOf"])).map(_merged)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type", "object"):
        case "object":
            return _object(schema)
        case "array":
            return st.lists(_value(schema.get("items", {}), name), max_size=2)
        case "boolean":
            return st.booleans()
        case "integer" if name in _COUNTS:
            return st.integers(-1, TASKS_MAX)
        case "integer":
            return _numbers
        case "number":
            return st.floats(-1, 2) | _numbers
    return words


def _object(schema: dict[str, Any]) -> SearchStrategy[dict[str, Any]]:
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return st.dictionaries(words, _value(more), max_size=2)
    fields = schema.get("properties", {})
    if not fields:
        return st.just({})
    names = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=FIELDS_MAX, unique=True)
    return names.flatmap(lambda said: st.fixed_dictionaries({name: _value(fields[name], name) for name in said}))


def _merged(parts: tuple[Any, ...]) -> Any:
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


_known: dict[str, SearchStrategy[Any]] = {}


def _definition(name: str) -> SearchStrategy[Any]:
    if name not in _known:
        _known[name] = _value(_CUT["definitions"][name])
    return _known[name]


def _over(enough: Any, more: Any) -> Any:
    """Return `enough` with what `more` says over it, to any depth."""
    if not isinstance(enough, dict) or not isinstance(more, dict):
        return more
    return {**enough, **{key: _over(enough.get(key), value) for key, value in more.items()}}


def _broken(raw: bytes) -> SearchStrategy[bytes]:
    """Draw what is left of a body that something happened to."""
    cut = st.integers(0, len(raw)).map(lambda at: raw[:at])
    spoilt = st.tuples(st.integers(0, len(raw)), st.binary(min_size=1, max_size=3)).map(
        lambda drawn: raw[: drawn[0]] + drawn[1] + raw[drawn[0] + 1 :]
    )
    odd = st.sampled_from([b"", b"null", b"[]", b"{}", b"[" * 20_000, b'{"a":' * 20_000, b'{"Name":1e400}', raw + raw])
    return cut | spoilt | odd | st.binary(max_size=20)


@st.composite
def _body(draw: st.DrawFn, path: str, schema: dict[str, Any]) -> bytes:
    said = draw(_value(schema))
    whole = _over(_ENOUGH.get(path, {}), said)
    if path.endswith("/create") and isinstance(whole, dict):
        new = st.integers(0, 99).map(lambda number: f"new{number}")
        whole["Name"] = draw(st.just(whole.get("Name")) | new | new | new)
    raw = json.dumps(whole).encode()
    return draw(_sometimes(st.just(raw), _broken(raw)))


@st.composite
def _path(draw: st.DrawFn, path: str) -> str:
    kind = path.split("/")[1].removesuffix("s")
    usual = st.sampled_from([*[f"{{{kind}}}"] * 7, *_NAMES]).map(lambda ref: (ref, True))
    odd = words.map(lambda ref: (ref, False)) | st.binary(min_size=1, max_size=4).map(
        lambda raw: (quote_from_bytes(raw, safe=""), True)
    )
    ref, quoted = draw(_sometimes(usual, odd))
    ref = ref if quoted else quote(ref.encode("utf-8", "replace"), safe="")
    version = draw(st.sampled_from(_VERSIONS))
    return version + path.replace("{id}", ref).replace("{name}", ref)


@st.composite
def _query(draw: st.DrawFn, kind: str, schema: dict[str, Any]) -> str:
    pairs = []
    for name, one in schema.items():
        if name != "version" and not draw(st.booleans()):
            continue
        usual: SearchStrategy[Any] = _as_said(one, name).map(str)
        if name == "filters":
            values = st.lists(st.sampled_from(["{" + kind + "}", *_NAMES, "true", "running"]) | words, max_size=2)
            usual = st.dictionaries(
                st.sampled_from(_FILTERS), values | values.map(lambda ones: dict.fromkeys(ones, True)), max_size=2
            ).map(json.dumps)
        elif name == "version":
            usual = st.just(f"{{{kind}-version}}")
        elif one.get("type") == "boolean":
            usual = st.sampled_from(["1", "0", "true", "false"])
        value = draw(_sometimes(usual, words))
        pairs.append(f"{name}={quote(value.encode('utf-8', 'replace'), safe='{}')}")
    return "?" + "&".join(pairs) if pairs else ""


_TEXTS = st.sampled_from([b"application/json", b"text/plain", b"\xff\xfe", b"eyJ9", b"e30=", b"x" * 5000, b"a\xc3\xa9"])
_HEADERS = st.lists(
    st.tuples(st.sampled_from(["Content-Type", "X-Registry-Auth", "User-Agent", "Expect", "Origin", "X-Odd"]), _TEXTS),
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw one request."""
    endpoint = draw(st.sampled_from(_ENDPOINTS))
    path, method = endpoint["path"], endpoint["method"]
    kind = path.split("/")[1].removesuffix("s")
    target = draw(_path(path)) + draw(_query(kind, endpoint["query"]))
    body = draw(_body(path, endpoint["body"])) if "body" in endpoint else None
    method = draw(_sometimes(st.just(method), st.sampled_from(["PUT", "PATCH", "HEAD", "OPTIONS", "DELETE", "BREW"])))
    headers = draw(_sometimes(st.just((("Content-Type", b"application/json"),)), _HEADERS))
    return Request(method, target, headers, body)


def _made(path: str, **more: Any) -> Request:
    return Request(
        "POST", path, (("Content-Type", b"application/json"),), json.dumps({**_ENOUGH[path], **more}).encode()
    )


#: What is there before anything is asked: one of each kind.
SETTING = (
    _made("/services/create", Mode={"Replicated": {"Replicas": 2}}),
    _made("/secrets/create"),
    _made("/configs/create"),
    _made("/networks/create", Attachable=True),
)


def placeholders(target: str) -> list[str]:
    """Return the kinds of things whose id or version `target` leaves open."""
    return [kind for kind in (*_KINDS, "swarm") if f"{{{kind}}}" in target or f"{{{kind}-version}}" in target]
