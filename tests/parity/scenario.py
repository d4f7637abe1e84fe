"""A scenario: what is typed, line by line, at which node, and what is waited for in between.

The notation is that of the recordings' own tool; a step is what is typed, and numbered from 1:

- `$ CMD`, `$2 CMD`, `$1:8 CMD`: a shell line with docker at node 1, at node 2, interrupted after 8 seconds.
- `& NAME CMD`: one in the background; `@stop NAME` interrupts it.
- `raw METHOD PATH [JSON]`: one request without the client; `~/` is `/v1.41/`; `<<EOF` takes the lines below as body.
- `+ ARGS`: create service xN with these arguments, and inspect it. `~ NAME ARGS`: update, and inspect.
- `mk JSON`, `upd NAME JSON`: create or update by a request: JSON merged over a small spec, or over the present one.
- `@wait SECONDS EXPRESSION`, `@sleep SECONDS`, `@mark TEXT`, `@snap` (two lists), `@set VAR CMD`, `@do CMD`,
  `@file NAME <<EOF`.
- `@kill N`, `@start N`, `@restart N`: the engine of a node.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "scenarios"

_NODE = re.compile(r"(?:\$|raw|@do)(\d)")


class Line(NamedTuple):
    """A directive; `body` is its here-document."""

    number: int
    text: str
    body: str | None = None


class Scenario(NamedTuple):
    """A file of `scenarios/`. `joined` are the nodes of the swarm that it begins with; 0 if it begins without one."""

    name: str
    title: str
    joined: int
    #: nodes that take part, in the swarm or not
    nodes: int
    lines: tuple[Line, ...]


def names() -> list[str]:
    """Return the names of all scenarios, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def read(name: str) -> Scenario:
    """Return a scenario by its name."""
    text = (FOLDER / f"{name}.txt").read_text()
    about = {key: value.strip() for key, value in re.findall(r"^#\s*(title|nodes|swarm)\s*:(.*)$", text, re.MULTILINE)}
    lines = tuple(_lines(text.split("\n")))
    wanted = int(about.get("nodes", "1"))
    used = max((int(found[1]) for line in lines if (found := _NODE.match(line.text))), default=1)
    joined = 0 if about.get("swarm") == "no" else wanted
    return Scenario(name, about.get("title", ""), joined, max(wanted, used), lines)


def _lines(rows: list[str]) -> Iterator[Line]:
    at = 0
    while at < len(rows):
        text, number = rows[at], at + 1
        at += 1
        if not text.strip() or text.startswith("#"):
            continue
        while text.startswith("$") and text.endswith("\\"):
            text = text[:-1] + rows[at].strip()
            at += 1
        body = None
        if text.startswith(("raw", "@file")) and (here := re.search(r"<<(\w+)\s*$", text)):
            end = rows.index(here[1], at)
            text, body = text[: here.start()].rstrip(), "\n".join(rows[at:end]) + "\n"
            at = end + 1
        yield Line(number, text, body)
