"""Filters of lists: how they are written, which are known, what they match.

Clients write `{"name": {"web": true}}`, older ones `{"name": ["web"]}`. Values of one filter are alternatives, filters
are all required, and labels too are all required (FACTS, chapter 1).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from skep_adapters.docker_api import go_json
from skep_adapters.docker_api.decode import decode_map, refuse
from skep_adapters.docker_api.errors import ApiError, bad_request
from skep_adapters.docker_api.go_json import Members

SERVICE = frozenset({"id", "label", "mode", "name", "runtime"})
NODE = frozenset({"id", "label", "membership", "name", "node.label", "role"})
TASK = frozenset({"_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service"})
SECRET = frozenset({"id", "label", "name", "names"})
CONFIG = SECRET
NETWORK = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
PRUNED_NETWORK = frozenset({"label", "label!", "until"})
VOLUME = frozenset({"dangling", "driver", "label", "name"})
PRUNED_VOLUME = frozenset({"all", "label", "label!"})


class Filters:
    """The filters of one request: values by name, in the order in which they came."""

    def __init__(self, values: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._values = dict(values or {})

    def check(self, known: frozenset[str]) -> None:
        """Refuse a filter that is not known (400)."""
        for name in self._values:
            if name not in known:
                raise bad_request(f"Invalid filter '{name}'")

    def get(self, name: str) -> tuple[str, ...]:
        """Return the values of a filter; none if it was not given."""
        return self._values.get(name, ())

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def prefix(self, name: str, value: str) -> bool:
        """Whether `value` begins with any of the values of a filter, or that was not given."""
        wanted = self._values.get(name)
        return not wanted or value.startswith(wanted)

    def exact(self, name: str, value: str) -> bool:
        """Whether `value` is any of the values of a filter, or that was not given."""
        wanted = self._values.get(name)
        return not wanted or value in wanted

    def labels(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """Whether `labels` has all the labels of a filter, which are `key` or `key=value`."""
        for wanted in self._values.get(name, ()):
            key, _, value = wanted.partition("=")
            if labels is None or key not in labels or (value and labels[key] != value):
                return False
        return True


def parse(text: str, *, status: int) -> Filters:
    """Read the `filters` of a query.

    Raises:
        ApiError: `status`, in Go's words: which it is depends on the list that was asked for (recorded).
    """
    if not text:
        return Filters()
    try:
        return Filters(_read(text))
    except ApiError as error:
        raise ApiError(status, str(error)) from None


def _read(text: str) -> dict[str, tuple[str, ...]]:
    try:
        value = go_json.parse(text.encode("utf-8", "replace"))
    except EOFError:
        raise bad_request("unexpected end of JSON input") from None
    if value is None:
        return {}
    members = decode_map(value, "map[string]map[string]bool")
    if all(isinstance(one, list) and not isinstance(one, Members) for one in members.values()):
        return {name: tuple(_strings(ones)) for name, ones in members.items()}
    return {name: tuple(_chosen(ones)) for name, ones in members.items()}


def _strings(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if not isinstance(value, str):
            refuse(value, "string")
        yield str(value)


def _chosen(value: Any) -> Iterable[str]:
    return decode_map(value, "map[string]bool").keys()
