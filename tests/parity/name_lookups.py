"""Answers of `nslookup`: it asks for both families of addresses at once, and prints first what comes first."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

_TYPED = re.compile(r"docker exec \S+ nslookup\b")
_ANSWER = "Non-authoritative answer:"


def shows(cli: str) -> bool:
    """Say whether what is typed prints such answers."""
    return _TYPED.search(cli) is not None


def printed(lines: Sequence[str]) -> list[str]:
    """Return the lines with the answers in the order of the alphabet."""
    parts = [list(part) for head, part in itertools.groupby(lines, key=_ANSWER.__eq__) if not head]
    answers = sorted([line for line in part if line] for part in parts[1:])
    return [*parts[0], *itertools.chain.from_iterable([_ANSWER, *answer] for answer in answers)] if parts else []


def streamed(row: Any) -> Any:
    """Return an engine's answer with what the program printed likewise."""
    frames = row.get("response_stream")
    if not row["path"].startswith("/v") or not isinstance(frames, list):
        return row
    return {**row, "response_stream": [{**each, "data": printed(each["data"].split("\n"))} for each in frames]}
