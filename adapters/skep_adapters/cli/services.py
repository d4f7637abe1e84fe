"""The commands about services that docker has not: how updates ended, going back to any spec, spreading anew."""

import sys

from rich.console import Console
from rich.table import Table

from skep_adapters.cli.client import ask

#: A table that no terminal bounds is as wide as it likes.
WIDE = 200


def show_updates(service: str, host: str) -> int:
    """Print how the last updates of a service ended."""
    answer = ask(host, "GET", "skep", "services", service, "updates")
    table = Table(box=None, pad_edge=False, header_style="")
    for title in ("SPEC", "KIND", "STATE", "ENDED", "TASKS", "FAILED", "CHANGED", "WHY"):
        table.add_column(title, overflow="fold")
    for outcome in answer["Outcomes"]:
        table.add_row(
            str(outcome["Spec"]),
            "rollback" if outcome["Rollback"] else "update",
            outcome["State"],
            outcome["CompletedAt"][:19] + "Z",
            str(outcome["Made"]),
            str(len(outcome["Failed"])),
            ", ".join(outcome["Changed"]),
            outcome["Why"],
        )
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    sys.stdout.write(f"{service} is at spec {len(answer['Specs'])}\n")
    return 0


def roll_back(service: str, to: int, host: str) -> int:
    """Give a service an earlier spec again."""
    ask(host, "POST", "skep", "services", service, "rollback", to=to)
    sys.stdout.write(f"{service} goes back to spec {to}\n")
    return 0


def rebalance(service: str, budget: int, host: str) -> int:
    """Spread the tasks of a service anew."""
    ask(host, "POST", "skep", "services", service, "rebalance", budget=budget)
    sys.stdout.write(f"{service} is spread anew; at most {budget} of its tasks move\n")
    return 0
