"""Compares two recordings of one scenario, step by step and exchange by exchange."""

import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from tests.parity import log_lines, name_lookups, past_events, stacks
from tests.parity.normal import Normal, masked, tokens
from tests.parity.recorder import Row
from tests.parity.typed import Words, typed, without

_SHORT = 12

_NAMED = re.compile(r"\.(\d+)\.([0-9a-z]{25})\b")
_LOOKED_UP = re.compile("/(networks|nodes|services|tasks)/[⟦<]")


#: the client sends all their requests at once
_AT_ONCE = ("docker rm ", "docker stop ", "docker kill ")


class Difference(NamedTuple):
    """What is not the same: of a step, what the client printed (`what` is "cli"), or one exchange."""

    step: int
    cli: str
    #: "cli", or method and path of an exchange, without its ids
    what: str
    lines: tuple[str, ...]


class Comparison(NamedTuple):
    """`compared` counts steps and exchanges of the reference; what only the other has is a difference as well."""

    steps: int
    exchanges: int
    differences: tuple[Difference, ...]
    #: all that the reference says anywhere, and all that the other says, by line, as `spoken` returns it
    said: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


class _Renaming:
    """Which id of one recording is which of the other; `alike` are those of each that may be any of several."""

    def __init__(self, alike: tuple[set[str], set[str]]) -> None:
        self._alike = alike
        self._there: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def conflicts(self, theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
        """Bind ids to each other; return those that are bound to others already."""
        found = []
        for their, our in zip(theirs, ours, strict=True):
            if their in self._alike[0] and our in self._alike[1]:
                continue
            if self._there.setdefault(their, our) != our or self._back.setdefault(our, their) != their:
                found.append(f"{their} is {self._there[their]}, here it is {our}")
            elif len(their) > _SHORT < len(our):
                self._there.setdefault(their[:_SHORT], our[:_SHORT])
                self._back.setdefault(our[:_SHORT], their[:_SHORT])
        return found


def compared(reference: list[Row], other: list[Row]) -> Comparison:
    """Return how a recording differs from the reference."""
    reference, other = past_events.without(reference), past_events.without(other)
    normals = Normal(reference), Normal(other)
    words = typed(reference, other)
    sides = _steps(reference, normals[0], words[0]), _steps(other, normals[1], words[1])
    renaming = _Renaming((normals[0].alike, normals[1].alike))
    differences: list[Difference] = []
    steps = exchanges = 0
    for number, (step, asked) in sides[0].items():
        steps += 1
        exchanges += len(asked)
        found = sides[1].get(number)
        if found is None:
            differences.append(Difference(number, step["cli"], "cli", ("it was not done",)))
            continue
        cli = str(step["cli"])
        differences += [
            Difference(number, cli, what, lines) for what, lines in _exchanges(asked, found[1], renaming) if lines
        ]
        if lines := _lines(_typed(step), _typed(found[0]), renaming):
            differences.append(Difference(number, cli, "cli", lines))
    return Comparison(steps, exchanges, tuple(differences), (_said(sides[0]), _said(sides[1])))


def spoken(line: str) -> list[str]:
    """Return what a line says, wherever it stands: each cell of a table's row by itself."""
    bare = line.strip().removesuffix(",")
    return [re.sub(r"\d+", "n", cell.strip('" ')) for cell in bare.split("  ")] if "  " in bare else [bare]


def _said(steps: Mapping[int, tuple[Any, list[Any]]]) -> frozenset[str]:
    texts = (_text(value) for step, asked in steps.values() for value in (_typed(step), *asked))
    return frozenset(cell for text in texts for line in masked(text).split("\n") for cell in spoken(line))


def _steps(rows: list[Row], normal: Normal, words: Words) -> dict[int, tuple[Any, list[Any]]]:
    """Return each step with its exchanges, but for those by which a client that waits looks again and again."""
    found: dict[int, tuple[Any, list[Any]]] = {
        row["step"]: (normal.row(without(row, words.get(row["step"], []))), []) for row in rows if row["kind"] == "step"
    }
    waiting = {row["step"] for row in rows if "_up-to-date" in str(row.get("query", ""))}
    waiting |= {row["step"] for row in rows if stacks.waits(str(row.get("cli", "")))}
    written: set[int] = set()
    for row in rows:
        if row["kind"] != "exchange":
            continue
        step = row["step"]
        if row["method"] in ("POST", "DELETE"):
            written.add(step)
        elif step in waiting and step in written and row["method"] == "GET":
            continue
        found[step][1].append(normal.row(without(row, words.get(step, []))))
    slots = _slots(rows)
    return {number: _undrawn(step, asked, slots) for number, (step, asked) in found.items()}


def _undrawn(step: Any, asked: list[Any], slots: Mapping[str, int]) -> tuple[Any, list[Any]]:
    """Return a step and its exchanges without orders that are drawn."""
    asked = _sorted([log_lines.streamed(row, slots) for row in asked], slots)
    cli = str(step["cli"])
    if stacks.deploys(cli):
        return _reprinted(step, stacks.printed_in_order), stacks.asked_in_order(asked)
    if cli.startswith(_AT_ONCE):
        asked = sorted(asked, key=_content)
    if name_lookups.shows(cli):
        return _reprinted(step, name_lookups.printed), [name_lookups.streamed(row) for row in asked]
    # containers that start at once are as old as each other, and networks are removed in the order of their ids
    if cli.startswith(("docker ps ", "docker network prune")):
        return _reprinted(step, lambda lines: sorted(lines, key=partial(_alike, slots=slots))), asked
    if log_lines.shows(cli):
        return _reprinted(step, lambda lines: log_lines.printed(lines, cli, slots)), asked
    return step, asked


def _alike(line: str, *, slots: Mapping[str, int]) -> tuple[str, int]:
    return masked(line), log_lines.slot(line, slots)


def _reprinted(step: Any, by: Callable[[list[str]], list[str]]) -> Any:
    """Return a step with the lines that were printed in another order."""
    return step | {key: by(step[key]) for key in ("stdout", "stderr") if isinstance(step.get(key), list)}


def _slots(rows: Iterable[Row]) -> dict[str, int]:
    """Return the slots of tasks, by id and by its beginning; a container has them in its name."""
    rows = list(rows)
    answers = (row.get("response_json") for row in rows if "/tasks" in row.get("path", ""))
    found = itertools.chain.from_iterable(each if isinstance(each, list) else [each] for each in answers)
    slots = {each["ID"]: each["Slot"] for each in found if isinstance(each, dict) and "Slot" in each}
    named = itertools.chain.from_iterable(_NAMED.findall(json.dumps(row)) for row in rows)
    slots |= {task: int(slot) for slot, task in named}
    return slots | {each[:_SHORT]: slot for each, slot in slots.items()}


def _sorted(asked: list[Any], slots: Mapping[str, int]) -> list[Any]:
    """Return exchanges in their order; but a client looks up the objects of a list in that of their ids."""
    ordered: list[Any] = []
    for looked_up, run in itertools.groupby(asked, key=_looks_up):
        some = list(run)
        ordered += (
            sorted(some, key=lambda row: (_content(row), log_lines.slot(row["path"], slots))) if looked_up else some
        )
    return ordered


def _content(row: Any) -> str:
    return masked(json.dumps([_name(row), row], sort_keys=True, ensure_ascii=False))


def _looks_up(row: Any) -> bool:
    return row["method"] == "GET" and _LOOKED_UP.search(row["path"]) is not None


def _typed(step: Any) -> Any:
    """Return what came of a step; what was typed is the scenario's."""
    return {key: value for key, value in step.items() if key not in ("cli", "node")}


def _name(row: Any) -> str:
    return masked(f"{row['method']} {row['path']}")


def _exchanges(theirs: list[Any], ours: list[Any], renaming: _Renaming) -> list[tuple[str, tuple[str, ...]]]:
    """Return each exchange by its name, with the lines in which it differs."""
    names = [_name(row) for row in theirs], [_name(row) for row in ours]
    found: list[tuple[str, tuple[str, ...]]] = []
    matcher = difflib.SequenceMatcher(None, *names, autojunk=False)
    for kind, left, left_end, right, right_end in matcher.get_opcodes():
        if kind == "equal":
            pairs = zip(theirs[left:left_end], ours[right:right_end], strict=True)
            found += [(_name(row), _lines(row, other, renaming)) for row, other in pairs]
        else:
            found += [(_name(row), ("- it is not asked",)) for row in theirs[left:left_end]]
            found += [(_name(row), ("+ it is asked",)) for row in ours[right:right_end]]
    return found


def _lines(theirs: Any, ours: Any, renaming: _Renaming) -> tuple[str, ...]:
    """Return the lines in which two values differ, as a diff has them."""
    texts = [_text(value) for value in (theirs, ours)]
    left, right = (masked(text).split("\n") for text in texts)
    if left == right:
        return tuple(renaming.conflicts(tokens(texts[0]), tokens(texts[1])))
    found = difflib.unified_diff(left, right, lineterm="", n=2)
    return tuple(line for line in found if not line.startswith(("---", "+++", "@@")))


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
