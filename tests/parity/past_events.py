"""Events of before a scenario began: an engine remembers them, and what it did before is no part of the scenario.

It began, as far as events tell, with the first that is told while it happens.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from tests.parity.recorder import Row

_ASKED = re.compile(r"/events$")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z ")


def without(rows: Sequence[Row]) -> list[Row]:
    """Return rows without such events."""
    live = [row for row in rows if _told(row) and "since" not in row["query"]]
    times = [each["timeNano"] for row in live for each in row["response_stream"]]
    return [_since(row, min(times)) for row in rows] if times else list(rows)


def _told(row: Row) -> bool:
    return _ASKED.search(row.get("path", "")) is not None and isinstance(row.get("response_stream"), list)


def _since(row: Row, began: int) -> Row:
    if _told(row):
        return row | {"response_stream": [each for each in row["response_stream"] if each["timeNano"] >= began]}
    if str(row.get("cli", "")).startswith("docker events "):
        return row | {"stdout": "".join(line for line in row["stdout"].splitlines(True) if _at(line, began) >= began)}
    return row


def _at(line: str, otherwise: int) -> int:
    found: Any = _TIME.match(line)
    if not found:
        return otherwise
    return int(dt.datetime.fromisoformat(f"{found[1]}+00:00").timestamp()) * 10**9 + int(found[2])
