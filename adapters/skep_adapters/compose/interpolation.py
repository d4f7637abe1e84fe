"""Variables in a stack file: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?why}`, and `$$` for a dollar.

`-` and `?` may stand without the colon. With it, a variable that is empty counts as one that is not there. One that is
not there is empty. As with Docker's client, `$NAME-x` has a default as well, which ends with the value: only braces end
a name before a dash.

Where a number or a truth belongs, text that came of a variable becomes one.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from skep_adapters.compose.place import Place

_NAME = r"[_a-zA-Z][_a-zA-Z0-9]*"
_REST = r"(?::?[-?][^}]*)?"
_VARIABLE = re.compile(rf"\$(?:(?P<dollar>\$)|(?P<bare>{_NAME}{_REST})|\{{(?P<braced>{_NAME}{_REST})\}}|(?P<wrong>))")
_PARTS = re.compile(rf"(?P<name>{_NAME})(?:(?P<how>:?[-?])(?P<what>.*))?", re.DOTALL)

#: What variables may make of a file's value, so that a few of them cannot fill the memory.
TEXT_CHARACTERS_MAX = 1024 * 1024

_TRUTHS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}


def interpolated(value: Any, env: Mapping[str, str], place: Place) -> Any:
    """Return `value` with its variables replaced.

    Raises:
        StackFileError: a `$` means nothing, a variable is wanted and not there, or its text is not what belongs there.
    """
    if isinstance(value, dict):
        return {key: interpolated(one, env, place.at(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, env, place.at(index)) for index, one in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value
    text = _VARIABLE.sub(lambda found: _replaced(found, env, place), value)
    if len(text) > TEXT_CHARACTERS_MAX:
        place.refuse(f"becomes longer than {TEXT_CHARACTERS_MAX} characters")
    place.write_out(characters=len(text))
    cast = _cast_of(place.path) if text != value else None
    return cast(text, place) if cast is not None else text


def _replaced(found: re.Match[str], env: Mapping[str, str], place: Place) -> str:
    if found["dollar"]:
        return "$"
    parts = _PARTS.fullmatch(found["bare"] or found["braced"] or "")
    if parts is None:
        place.refuse_value(found.string, "text in which every $ begins a variable, or is written $$")
    value = env.get(parts["name"])
    there = value is not None and (value != "" or not (parts["how"] or "").startswith(":"))
    if there and value is not None:
        return value
    match (parts["how"] or "")[-1:]:
        case "-":
            return parts["what"]
        case "?":
            place.refuse(f"variable {parts['name']} is required: {parts['what'] or 'it has no value'}")
    return ""


def _whole(text: str, place: Place) -> int:
    try:
        return int(text) if re.fullmatch("[-+]?[0-9]{1,19}", text) else int("")
    except ValueError:
        place.refuse_value(text, "a whole number")


def _fraction(text: str, place: Place) -> float:
    try:
        return float(text)
    except ValueError:
        place.refuse_value(text, "a number")


def _truth(text: str, place: Place) -> bool:
    truth = _TRUTHS.get(text.lower())
    if truth is None:
        place.refuse_value(text, "true or false")
    return truth


_Cast = Callable[[str, Place], Any]

_IN_SERVICES: dict[str, _Cast] = {
    "configs.[].mode": _whole,
    "secrets.[].mode": _whole,
    "healthcheck.retries": _whole,
    "healthcheck.disable": _truth,
    "deploy.replicas": _whole,
    "deploy.update_config.parallelism": _whole,
    "deploy.update_config.max_failure_ratio": _fraction,
    "deploy.rollback_config.parallelism": _whole,
    "deploy.rollback_config.max_failure_ratio": _fraction,
    "deploy.restart_policy.max_attempts": _whole,
    "deploy.placement.max_replicas_per_node": _whole,
    "ports.[].target": _whole,
    "ports.[].published": _whole,
    "ulimits.*": _whole,
    "ulimits.*.hard": _whole,
    "ulimits.*.soft": _whole,
    "privileged": _truth,
    "oom_score_adj": _whole,
    "read_only": _truth,
    "stdin_open": _truth,
    "tty": _truth,
    "volumes.[].read_only": _truth,
    "volumes.[].volume.nocopy": _truth,
}

#: What becomes a number or a truth: paths in which `*` is any key, and `[]` any place in a list.
_CASTS: dict[str, _Cast] = {
    **{f"services.*.{path}": cast for path, cast in _IN_SERVICES.items()},
    **{f"{kind}.*.external": _truth for kind in ("networks", "volumes", "secrets", "configs")},
    "networks.*.internal": _truth,
    "networks.*.attachable": _truth,
}


def _cast_of(path: tuple[str, ...]) -> _Cast | None:
    parts = tuple("[]" if part.startswith("[") else part for part in path)
    for pattern, cast in _CASTS.items():
        wanted = pattern.split(".")
        if len(wanted) == len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=True)):
            return cast
    return None
