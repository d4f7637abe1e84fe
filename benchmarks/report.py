"""What every benchmark prints: a table for people, or with --json one object, with machine, versions and seed."""

import argparse
import json
import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

SEED = 20_240_917


@dataclass(frozen=True)
class Goal:
    """What a case should reach: at most `value`, or at least; in the case's unit, or as its ratio to the peer."""

    value: float
    at_least: bool = False
    of_ratio: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {_short(self.value)}{' x peer' if self.of_ratio else ''}"


@dataclass(frozen=True)
class Result:
    """One measured case; `peer` is the same by something else in the same run, `ratio` ours over the peer's.

    `swarmkit` is what SwarmKit's own benchmark of the same shape gave on this class of machine, on another day.
    A case that was cut short has `value` None, and a note that says after how long.
    """

    case: str
    value: float | None
    unit: str
    peer: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    swarmkit: float | None = None
    note: str = ""


@dataclass
class Report:
    """The results of one benchmark."""

    name: str
    seed: int = SEED
    results: list[Result] = field(default_factory=list)

    def add(
        self,
        case: str,
        value: float | None,
        unit: str,
        *,
        peer: float | None = None,
        goal: Goal | None = None,
        swarmkit: float | None = None,
        note: str = "",
    ) -> None:
        """Add a case."""
        ratio = None if not peer or value is None else value / peer
        self.results.append(Result(case, value, unit, peer, ratio, goal, swarmkit, note))

    def show(self, options: argparse.Namespace) -> None:
        """Print the report, and save it where that is asked."""
        whole = {"name": self.name, "machine": machine(), "versions": versions(), "seed": self.seed}
        results = [{k: v for k, v in asdict(r).items() if v not in (None, "")} for r in self.results]
        if options.save:
            options.save.parent.mkdir(parents=True, exist_ok=True)
            options.save.write_text(json.dumps(whole | {"results": results}, indent=1) + "\n")
        if options.json:
            print(json.dumps(whole | {"results": results}))
            return
        columns = {
            "case": [r.case for r in self.results],
            "value": ["not done" if r.value is None else _short(r.value) for r in self.results],
            "unit": [r.unit for r in self.results],
            "goal": ["" if r.goal is None else str(r.goal) for r in self.results],
            "SwarmKit": ["" if r.swarmkit is None else _short(r.swarmkit) for r in self.results],
            "peer": ["" if r.peer is None else _short(r.peer) for r in self.results],
            "ratio": ["" if r.ratio is None else f"{r.ratio:.2f}" for r in self.results],
            "note": [r.note for r in self.results],
        }
        shown = {name: cells for name, cells in columns.items() if any(cells)}
        table = Table(*shown, title=self.name)
        for row in zip(*shown.values(), strict=True):
            table.add_row(*row)
        console = Console(width=None if sys.stdout.isatty() else 160)
        console.print(table)
        console.print(f"{machine()}; {', '.join(f'{k} {v}' for k, v in versions().items())}; seed {self.seed}")


def options_of(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"benchmarks/{name}.py", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the JSON object to FILE, too")
    parser.add_argument("--scale", type=float, default=1.0, help="do this share of the work (for a quick look)")
    return parser


def arguments(name: str, description: str | None) -> argparse.Namespace:
    """Return the options that every benchmark has."""
    return options_of(name, description).parse_args()


def machine() -> str:
    """Say what this was measured on."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len([1 for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
    return f"{cores} x {model}, {platform.system()} {platform.release()}"


def versions() -> dict[str, str]:
    """Return the versions that matter."""
    packages = {name: version(name) for name in ("skep", "msgspec", "aiosqlite")}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **packages}


def median(values: Sequence[float]) -> float:
    """Return the median."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
