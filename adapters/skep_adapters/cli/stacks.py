"""The commands about stacks that docker has not: a stack as one change, its history, and going back as a whole."""

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import msgspec
from rich.console import Console
from rich.table import Table

from skep_adapters.cli.client import ask
from skep_adapters.compose import ComposeFiles

#: A table that no terminal bounds is as wide as it likes.
WIDE = 200


def deploy(
    name: str, files: tuple[Path, ...], env_files: tuple[Path, ...], host: str, *, prune: bool, resolve: str
) -> int:
    """Read stack files here, and have the daemon make the stack; variables are those of this process."""
    read = anyio.run(lambda: ComposeFiles().read(files, name=name, env=os.environ, env_files=env_files))
    body = msgspec.json.encode(read.stack)
    path = ("skep", "stacks", name, "deploy")
    answer = ask(host, "POST", *path, body=body, prune=str(prune).lower(), resolve=resolve)
    return _tell(name, answer, read.warnings)


def list_stacks(host: str) -> int:
    """Print the stacks that have services."""
    table = _table("NAME", "SERVICES")
    for stack in ask(host, "GET", "skep", "stacks")["Stacks"]:
        table.add_row(stack["Name"], str(stack["Services"]))
    return _print(table)


def show_history(name: str, host: str) -> int:
    """Print the deployments of a stack."""
    table = _table("NUMBER", "KIND", "ENDED", "BY", "CLIENT", "CHANGES")
    for one in ask(host, "GET", "skep", "stacks", name, "deployments")["Deployments"]:
        table.add_row(
            str(one["Number"]),
            one["Kind"],
            one["CompletedAt"][:19] + "Z",
            one["By"],
            one["Client"].partition(" ")[0],
            _changes(one["Changes"]),
        )
    return _print(table)


def roll_back(name: str, to: int, host: str) -> int:
    """Bring a stack back to what it was after a deployment."""
    answer = ask(host, "POST", "skep", "stacks", name, "rollback", to=to)
    sys.stdout.write(f"{name} goes back to deployment {to}\n")
    return _tell(name, answer, ())


def _tell(name: str, answer: dict[str, Any], warnings: tuple[str, ...]) -> int:
    for warning in (*warnings, *(answer["Warnings"] or ())):
        sys.stderr.write(f"{warning}\n")
    for what in ("Created", "Updated", "Removed"):
        for service in answer[what]:
            sys.stdout.write(f"{what} service {service}\n")
    if not answer["Position"]:
        sys.stdout.write(f"{name} is so already\n")
    return 0


def _changes(changes: list[dict[str, str]]) -> str:
    """Return what a deployment did in a few words: services by name, all else by number."""
    told: dict[str, list[str]] = {}
    for one in changes:
        told.setdefault(one["What"], []).append(
            one["Name"] if one["Kind"] == "service" else f"{one['Kind']} {one['Name']}"
        )
    return "; ".join(f"{what} {', '.join(names)}" for what, names in told.items())


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _print(table: Table) -> int:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    return 0
