"""Run scenarios against skep and compare each with its recording: one line a scenario, and the sum.

`--peer` runs each against a real swarm as well, which shows how much two runs of that differ. `--part 1/2` takes every
second scenario. `--keep` is a folder for recordings, logs and differences; `--page` is written anew with what came of
all scenarios. The exit code is 1 if anything differs that is not listed.
"""

import json
import lzma
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cyclopts
import msgspec
from anyio.from_thread import start_blocking_portal
from rich.console import Console
from rich.progress import Progress

from tests.engines.machine import sweep
from tests.engines.surroundings import missing
from tests.parity import listed, report, scenario
from tests.parity.compare import compared
from tests.parity.driver import Driver
from tests.parity.expected import Expected
from tests.parity.nodes import Images, Nodes
from tests.parity.recorder import Row
from tests.parity.result import Result, judged, total
from tests.parity.typed import mistaken

#: So often is a scenario run whose names turn out to be the beginnings of ids: one in seven of the worst is.
TRIES = 3

#: So often is a scenario run in which something differs that is not listed: what a swarm draws, or a busy machine
#: delays, differs now and then, and what skep does otherwise differs always.
RUNS = 2

RECORDINGS = Path(__file__).parent / "recordings"


def reference(name: str) -> list[Row]:
    """Return the recording of a scenario."""
    with lzma.open(RECORDINGS / f"{name}.jsonl.xz", "rt") as file:
        return [json.loads(line) for line in file]


def weight(name: str) -> float:
    """Return for how many seconds a scenario was recorded."""
    return max(float(row.get("t", 0)) for row in reference(name))


def parted(names: Iterable[str], part: str) -> list[str]:
    """Return the scenarios of a part such as "1/2": the parts take about as long; the longest come first."""
    number, _, count = part.partition("/")
    loads = [(0.0, each) for each in range(int(count))]
    chosen = []
    for name in sorted(names, key=weight, reverse=True):
        load, lightest = min(loads)
        loads[lightest] = (load + weight(name), lightest)
        if lightest == int(number) - 1:
            chosen.append(name)
    return chosen


class Run:
    """Scenarios against skep, or against a real swarm."""

    def __init__(self, images: Images, keep: Path, *, peer: bool) -> None:
        self._images = images
        self._keep = keep
        self._peer = peer
        self._entries = listed.read()

    def result(self, name: str) -> Result:
        """Run a scenario and compare it."""
        began = time.monotonic()
        try:
            result = self._compared(name)
        except Exception as error:  # noqa: BLE001 - the others are to be run
            result = Result(name, failed=f"{type(error).__name__}: {str(error)[:2000]}")
        result.seconds = time.monotonic() - began
        with (self._keep / f"{name}.diff").open("w") as file:
            for each in result.unlisted:
                print(f"## {each.step} {each.cli[:200]}", f"#  {each.what}", *each.lines, "", sep="\n", file=file)
        return result

    def _compared(self, name: str) -> Result:
        there = reference(name)
        best: Result | None = None
        for number in range(1, RUNS + 1):
            rows, missed = self._unmistaken(name, there)
            result = judged(name, compared(there, rows), self._entries)
            result.missed, result.runs = missed, number
            if best is None or len(result.unlisted) < len(best.unlisted):
                best = result
                (self._keep / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            if not best.unlisted:
                break
        assert best is not None
        return best

    def _unmistaken(self, name: str, there: list[Row]) -> tuple[list[Row], list[str]]:
        """Return a recording in which no name is by chance the beginning of an id, and what was waited for in vain."""
        for _ in range(TRIES):
            rows, missed = self._rows(name)
            if not mistaken(there, rows):
                break
        return rows, missed

    def _rows(self, name: str) -> tuple[list[Row], list[str]]:
        """Return a recording, and what was waited for in vain."""
        read = scenario.read(name)
        home = Path(tempfile.mkdtemp(prefix="skep-", dir="/tmp"))  # a short path, since sockets need one
        try:
            with Nodes(home, self._images, read.nodes, peer=self._peer) as nodes, start_blocking_portal() as portal:
                if read.joined:
                    nodes.join(read.joined)
                driver = Driver(read, nodes, portal, Expected(reference(name)))
                return driver.run(), driver.missed
        finally:
            for log in home.glob("*.log"):
                shutil.copy(log, self._keep / f"{name}-{log.name}")
            shutil.rmtree(home, ignore_errors=True)


app = cyclopts.App(help=__doc__)


@app.default
def main(
    *names: str,
    part: str = "1/1",
    peer: bool = False,
    jobs: int = 2,
    keep: Path | None = None,
    page: Path | None = None,
) -> int:
    """Run the scenarios whose names begin so, or all."""
    console = Console(highlight=False, soft_wrap=True)
    if sentence := missing():
        console.print(f"skipped: {sentence}")
        return 0
    sweep()
    folder = keep or Path(tempfile.mkdtemp(prefix="parity-"))
    chosen = [name for name in scenario.names() if not names or name.startswith(names)]
    chosen = parted(chosen, part)
    results: dict[bool, list[Result]] = {}
    home = Path(tempfile.mkdtemp(prefix="skep-", dir="/tmp"))
    try:
        images = Images(home)
        for each in (True, False) if peer else (False,):
            kept = folder / ("peer" if each else "skep")
            kept.mkdir(parents=True, exist_ok=True)
            console.rule("a real swarm" if each else "skep")
            results[each] = _all(Run(images, kept, peer=each).result, chosen, jobs, console)
            (kept / "results.json").write_bytes(msgspec.json.encode(results[each]))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for each, found in results.items():
        console.print(f"{'a real swarm' if each else 'skep'}: {total(found)}")
    console.print(f"recordings and differences: {folder}")
    if page is not None:
        assert len(results[False]) == len(scenario.names()), "the page is about all scenarios"
        page.write_text(report.page(results[False]))
    return 0 if all(each.good for each in results[False]) else 1


def _all(result: Callable[[str], Result], names: list[str], jobs: int, console: Console) -> list[Result]:
    """Return all results, in the order of their names; a line is shown as each ends."""
    found = []
    with Progress(console=console, disable=not console.is_terminal) as progress, ThreadPoolExecutor(jobs) as pool:
        bar = progress.add_task("scenarios", total=len(names))
        for each in pool.map(result, names):
            found.append(each)
            progress.console.print(each.line())
            progress.advance(bar)
    return sorted(found, key=lambda one: one.name)


if __name__ == "__main__":
    sys.exit(app())
