"""What stands in a request's query: versions, truths, ways to spell them."""

import re

from skep.model.ids import Position

from skep_adapters.docker_api import go_json
from skep_adapters.docker_api.errors import bad_request

_UNSIGNED = re.compile(r"[0-9]+")
_UINT64_MAX = 2**64 - 1
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NO = frozenset({"", "0", "no", "false", "none"})


def version(kind: str, text: str) -> Position:
    """Read the version that an update is based on.

    Raises:
        ApiError: 400, in Go's words; secrets and configs have their own, shorter ones.
    """
    problem = "" if _UNSIGNED.fullmatch(text) else "invalid syntax"
    if not problem and (len(text) > len(str(_UINT64_MAX)) or int(text) > _UINT64_MAX):
        problem = "value out of range"
    if not problem:
        return Position(int(text))
    if kind in ("secret", "config"):
        raise bad_request(f"invalid {kind} version")
    raise bad_request(f"invalid {kind} version '{text}': strconv.ParseUint: parsing {go_json.quoted(text)}: {problem}")


def truth(name: str, text: str, *, short: bool = False) -> bool:
    """Read a strict truth (strconv.ParseBool); empty is False. `short` leaves Go's words out of the complaint."""
    if text in _TRUE:
        return True
    if not text or text in _FALSE:
        return False
    why = "" if short else f": strconv.ParseBool: parsing {go_json.quoted(text)}: invalid syntax"
    raise bad_request(f"invalid value for {name}: {text}{why}")


def lenient(text: str) -> bool:
    """Read a truth that is everything but a no."""
    return text.strip().lower() not in _NO
