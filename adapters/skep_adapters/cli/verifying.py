"""`skep verify`: every swarm of a data directory, read from its beginning beside whoever writes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from skep.history.verify import Progress as Tell
from skep.history.verify import Report
from skep.history.verify import verify as verify_store
from skep.model.ids import Position
from skep.ports.event_log import LogError

from skep_adapters.cli.option_error import OptionError
from skep_adapters.sqlite.storage import SqliteStorage, SqliteStore

PROBLEMS = 1


def run(directory: Path, *, quick: bool) -> int:
    """Verify what `directory` keeps, and print it; return the exit code.

    Raises:
        OptionError: nothing is kept there.
        LogError: what is there cannot be read at all.
    """
    return anyio.run(_verify, directory, quick)


async def _verify(directory: Path, quick: bool) -> int:
    storage = SqliteStorage(directory, read_only=True)
    numbers = storage.numbers()
    if not numbers:
        raise OptionError(f"--data {directory}: no swarm is kept there")
    code = 0
    for number in numbers:
        store = await storage.open(number)
        if store is None:
            raise LogError(f"{directory}: swarm {number} went away while it was being looked at")
        try:
            problems = await _verify_one(store, quick=quick)
        finally:
            await store.aclose()
        code = PROBLEMS if problems else code
    return code


async def _verify_one(store: SqliteStore, *, quick: bool) -> bool:
    """Verify one swarm and print what was found; return whether there is a problem."""
    try:
        with _bar(store.directory.name) as progress:
            report = await verify_store(store, quick=quick, progress=progress)
    except LogError as error:
        _print(f"swarm {store.directory.name}: cannot be read")
        _print(f"  problem: {error}")
        return True
    _print(f"swarm {store.directory.name}: {_summary(report, quick=quick)}")
    for note in report.notes:
        _print(f"  note: {note}")
    for problem in report.problems:
        _print(f"  problem: {problem}")
    return not report.clean


@contextmanager
def _bar(title: str) -> Iterator[Tell | None]:
    """Yield what to tell progress to: a bar on a terminal, else None."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"swarm {title}", total=None)

        def tell(position: Position, end: Position) -> None:
            bar.update(task, completed=position, total=end)

        yield tell


def _summary(report: Report, *, quick: bool) -> str:
    counts = [_count(report.records, "record"), _count(report.checkpoints, "checkpoint")]
    if not quick:
        counts += [_count(report.decisions, "decision"), _count(report.plans, "plan")]
        if report.earlier:
            counts.append(f"{_count(report.earlier, 'plan')} of earlier versions, not run again")
    found = _count(len(report.problems), "problem") if report.problems else "all of it holds"
    return f"{', '.join(counts)}{' (nothing was run again)' if quick else ''}: {found}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
