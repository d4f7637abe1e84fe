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
class Result:
    """One measured case; `peer` is the same by something else in the same run, `ratio` ours over the peer's."""

    case: str
    value: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    note: str = ""


@dataclass
class Report:
    """The results of one benchmark."""

    name: str
    seed: int = SEED
    results: list[Result] = field(default_factory=list)

    def add(self, case: str, value: float, unit: str, *, peer: float | None = None, note: str = "") -> None:
        """Add a case."""
        ratio = None if not peer else value / peer
        self.results.append(Result(case, value, unit, peer, ratio, note))

    def show(self, *, as_json: bool) -> None:
        """Print the report."""
        if as_json:
            results = [{k: v for k, v in asdict(r).items() if k != "note" or v} for r in self.results]
            whole = {"name": self.name, "machine": machine(), "versions": versions(), "seed": self.seed}
            print(json.dumps(whole | {"results": results}))
            return
        table = Table("case", "value", "unit", "peer", "ratio", "note", title=self.name)
        for result in self.results:
            table.add_row(
                result.case,
                _short(result.value),
                result.unit,
                "" if result.peer is None else _short(result.peer),
                "" if result.ratio is None else f"{result.ratio:.2f}",
                result.note,
            )
        console = Console(width=None if sys.stdout.isatty() else 140)
        console.print(table)
        console.print(f"{machine()}; {', '.join(f'{k} {v}' for k, v in versions().items())}; seed {self.seed}")


def arguments(name: str, description: str | None) -> argparse.Namespace:
    """Return the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"benchmarks/{name}.py", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--scale", type=float, default=1.0, help="do this share of the work (for a quick look)")
    return parser.parse_args()


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
    return f"{value:.4g}"
