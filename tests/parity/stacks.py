"""What the client does in an order that it draws when it deploys or removes a stack: what it makes comes out of maps.

So what it does to things of one kind is compared in the order of their names.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any

_TYPED = re.compile(r"docker stack (deploy|rm)\b")
_PRINTED = re.compile(r"(Creating|Updating|Removing) (network|service|secret|config)\b")
_PATH = re.compile(r"/v1\.\d+/(networks|services|secrets|configs|distribution)/(.*)")


def deploys(cli: str) -> bool:
    """Say whether a line deploys a stack, or removes one."""
    return _TYPED.search(cli) is not None


def waits(cli: str) -> bool:
    """Say whether a line waits until the tasks of a stack have ended, and looks for them again and again."""
    return cli.startswith("docker stack rm ") and "--detach=false" in cli


def asked_in_order(asked: list[Any]) -> list[Any]:
    """Return what the client asked for a stack, sorted as far as its order is drawn."""
    names = _names(asked)
    found: list[Any] = []
    for kind, run in itertools.groupby(asked, key=_kind):
        rows = list(run)
        found += sorted(rows, key=lambda row: _order(row, names)) if kind else rows
    return found


def printed_in_order(lines: list[str]) -> list[str]:
    """Return what the client printed of a stack, sorted as far as its order is drawn."""
    found: list[str] = []
    for kind, run in itertools.groupby(lines, key=lambda line: said[2] if (said := _PRINTED.match(line)) else ""):
        same = list(run)
        found += sorted(same) if kind else same
    return found


def _kind(row: Any) -> str:
    """Return which things a request is about, if it is one of those whose order is drawn."""
    path = _PATH.fullmatch(row["path"])
    if path is None:
        return ""
    return "services" if path[1] == "distribution" else path[1]


def _order(row: Any, names: dict[str, str]) -> tuple[bool, str]:
    """Return what a request is sorted by: images are looked up as they are met first, and only once."""
    path = _PATH.fullmatch(row["path"])
    assert path is not None
    asked = row.get("request_json")
    name = asked.get("Name", "") if isinstance(asked, dict) else names.get(path[2], path[2])
    return path[1] != "distribution", name


def _names(asked: Iterable[Any]) -> dict[str, str]:
    """Return the names of what was listed, by id."""
    found = {}
    for row in asked:
        answer = row.get("response_json")
        for each in answer if isinstance(answer, list) else ():
            if isinstance(each, dict) and (own := each.get("ID") or each.get("Id")):
                found[own] = each.get("Name") or each.get("Spec", {}).get("Name", "")
    return found
