"""Draw the results that have a goal: how far each is from it, on a logarithmic scale.

    python benchmarks/chart.py FOLDER PICTURE

Reads the JSON files that the other benchmarks save in FOLDER. 1 is the goal, and left of it is better, whether the goal
is a least or a most. A diamond is SwarmKit's own figure.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

REACHED = "#3a7d44"
MISSED = "#c0552d"
SWARMKIT = "#30475e"

#: Inches of a row, and of what stands above and below all.
ROW = 0.24
FRAME = 1.5

#: The order of the benchmarks in the picture; others follow.
ORDER = ("schedule", "converge", "memory", "idle", "append", "submit", "replay", "restart")


def main() -> None:
    """Draw."""
    if len(sys.argv) != 3:
        sys.exit(str(__doc__))
    folder, picture = Path(sys.argv[1]), Path(sys.argv[2])
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    reports.sort(key=lambda report: ORDER.index(report["name"]) if report["name"] in ORDER else len(ORDER))
    rows = [(report["name"], row) for report in reports for row in report["results"] if "goal" in row]
    if not rows:
        sys.exit(f"no results with a goal in {folder}")
    # the same picture from the same results: no ids at random, text as text
    mpl.rcParams.update({"svg.hashsalt": "skep", "svg.fonttype": "none", "font.size": 8})
    _draw(rows, reports).savefig(picture, metadata={"Date": None})
    print(f"{picture}: {len(rows)} results")


def _draw(rows: list[tuple[str, dict[str, Any]]], reports: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(11, ROW * len(rows) + FRAME), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    far = [times for _, row in rows if (times := _times(row)) is not None]
    low, high = min([0.1, *far]) / 2, max([10, *far]) * 2
    for at, (_, row) in enumerate(rows):
        times = _times(row)
        if times is None:
            axes.barh(at, high - 1, left=1, color="none", edgecolor=MISSED, hatch="////", height=0.6)
            axes.text(1.1, at, f" {row['note']} ", va="center", backgroundcolor="white", fontsize=7)
        else:
            # bars grow from the goal: the shorter to the right, the nearer; to the left is reached
            axes.barh(at, times - 1, left=1, color=REACHED if times <= 1 else MISSED, height=0.6)
            axes.text(max(times, 1) * 1.08, at, _told(row), va="center", fontsize=7)
        if "swarmkit" in row:
            axes.plot(row["swarmkit"] / row["goal"]["value"], at, "D", color=SWARMKIT, markersize=5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(low, high * 8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [f"{name}: {row['case']}" for name, row in rows])
    axes.set_xlabel("times the goal (logarithmic; less is better)")
    first = reports[0]
    axes.set_title(f"Results against goals: {first['machine']}, Python {first['versions']['python']}", fontsize=9)
    legend = [
        Patch(color=REACHED, label="goal reached"),
        Patch(color=MISSED, label="not reached"),
        Line2D([], [], marker="D", linestyle="none", color=SWARMKIT, label="SwarmKit"),
    ]
    axes.legend(handles=legend, loc="upper right")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _times(row: dict[str, Any]) -> float | None:
    """Return how many times the goal a result is, so that less is better; None if it was not done."""
    goal = row["goal"]
    value = row.get("ratio" if goal["of_ratio"] else "value")
    if value is None:
        return None
    return float(goal["value"] / value if goal["at_least"] else value / goal["value"])


def _told(row: dict[str, Any]) -> str:
    goal = row["goal"]
    sign = "≥" if goal["at_least"] else "≤"
    if goal["of_ratio"]:
        return f"{row['ratio']:.2f} x peer ({sign} {goal['value']:g})"
    return f"{_short(row['value'])} {row['unit']} ({sign} {_short(goal['value'])})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
