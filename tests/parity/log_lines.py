"""Lines of logs: a swarm gives all lines of one task after all of another, of whichever first.

So lines are compared task by task where it is told whose they are, else in the order of the alphabet. That skep merges
them in order of time is tried elsewhere. An engine reads a task's two streams one beside the other, so the lines of
each are compared by themselves.

Tasks count as long as they run: `n1`, `n2`. How far one has come depends on how fast all others are. So of a tail its
length is compared, and otherwise only that a task counts.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_TYPED = re.compile(r"docker service logs\b")
_OF_A_SERVICE = re.compile(r"/services/[^/]+/logs$")
_TASK = re.compile(r"task\.id=(⟦[^⟧]*⟧)")
#: `web.1.⟦id⟧@node1  | text`, and what else stands there by other options
_PREFIX = re.compile(r"(?:<time> )?([^ |]+) +\| ")
_COUNTED = re.compile(r"(?:^|(?<= ))n\d+(?=\n?$)")
_TAIL = re.compile(r"--tail \d")
_TOKEN = re.compile("⟦([^⟧]*)⟧")


class _Line(NamedTuple):
    task: str
    text: str
    stream: str = ""


def shows(cli: str) -> bool:
    """Say whether what is typed prints lines of logs."""
    return _TYPED.search(cli) is not None


def printed(lines: list[str], cli: str, slots: Mapping[str, int]) -> list[str]:
    """Return the lines that a client printed, task by task."""
    rows = [_Line(found[1] if (found := _PREFIX.match(line)) else "", line) for line in lines]
    if not any(row.task for row in rows):
        rows.sort(key=lambda row: row.text)
    tail = _TAIL.search(cli) is not None and " -f " not in cli
    return [row.text for row in _by_task(rows, slots, tail=tail)]


def streamed(row: Any, slots: Mapping[str, int]) -> Any:
    """Return an engine's answer with its lines task by task; `slots` of tasks are by id."""
    frames = row.get("response_stream")
    if not row["path"].endswith("/logs") or not isinstance(frames, list):
        return row
    lines = [_Line("".join(_TASK.findall(each["data"])[:1]), each["data"], each["stream"]) for each in frames]
    tail = str(row["query"].get("tail", "")).isdigit() and "follow" not in row["query"]
    if _OF_A_SERVICE.search(row["path"]) and not all(each.task for each in lines):
        lines.sort(key=lambda each: each.text)
    lines.sort(key=lambda each: each.stream)
    found = _by_task(lines, slots, tail=tail)
    return {**row, "response_stream": [{"data": each.text, "stream": each.stream} for each in found]}


def slot(text: str, slots: Mapping[str, int]) -> int:
    """Return the slot of the task whose id is in a text; 0 if there is none."""
    return next((slots[each] for each in _TOKEN.findall(text) if each in slots), 0)


def _by_task(lines: list[_Line], slots: Mapping[str, int], *, tail: bool) -> list[_Line]:
    """Return lines with those of each task together."""
    found: dict[str, list[_Line]] = {}
    for line in lines:
        found.setdefault(line.task, []).append(line)
    groups = sorted(
        (list(_told(group, tail=tail)) for group in found.values()),
        key=lambda group: ([_TOKEN.sub("", line.text) for line in group], slot(group[0].task, slots)),
    )
    return list(itertools.chain.from_iterable(groups))


def _told(lines: list[_Line], *, tail: bool) -> list[_Line]:
    """Return the lines of a task without how far it has counted."""
    found = [line._replace(text=_COUNTED.sub("n<n>", line.text)) for line in lines]
    return found if tail else list(dict.fromkeys(found))
