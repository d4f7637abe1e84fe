"""Run many seeds: `python -m skep.testing.simulation --seeds 0:1000`. Stops at the first that fails, and says how."""

import argparse
import os
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from skep.testing.simulation.sweep import Sum, sweep


def main() -> int:
    """Return 0 if every story ended well, and enough of them reached every mark."""
    options = _options()
    first, _, last = options.seeds.partition(":")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    told = Sum()
    began = time.monotonic()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("stories", total=len(seeds))
        # one seed is run to look into it: then nothing is left out
        stories = sweep(seeds, processes=options.processes, verify_all=options.verify or len(seeds) == 1)
        for ended in stories:
            told.add(ended)
            progress.update(
                bar, advance=1, description=f"stories, {len(told.broke)} failed" if told.broke else "stories"
            )
            if told.broke and not options.go_on:
                break
    _report(told, time.monotonic() - began, marks=options.marks, digests=options.digests)
    return 1 if told.broke or told.missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="skep.testing.simulation")
    parser.add_argument("--seeds", default="0:100", help="first and last, the last excluded; or one")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--verify", action="store_true", help="verify every log, not one in twenty")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first that fails")
    parser.add_argument("--marks", action="store_true", help="print how many stories reached each mark")
    parser.add_argument("--digests", action="store_true", help="print each log's digest, for comparison")
    return parser.parse_args()


def _report(told: Sum, seconds: float, *, marks: bool, digests: bool) -> None:
    if digests:
        for seed, digest in sorted(told.digests.items()):
            print(seed, digest)  # noqa: T201 - a command's output
    if marks:
        for mark, stories in sorted(told.marks.items(), key=lambda row: row[1]):
            print(f"{stories:6} {mark}")  # noqa: T201 - likewise
    for broke in told.broke:
        _say(f"{broke.traceback}\nseed {broke.seed} failed: {broke.why}\n")
    _say(
        f"{told.seeds} seeds, {told.commands} commands ({told.acknowledged} acknowledged), {told.faults} faults, "
        f"{told.crashes} crashes, {told.records} records in {seconds:.1f} s; verified {told.verified} of {told.seeds}; "
        f"reached {sum(map(bool, told.marks.values()))} of {len(told.marks)} marks; failed: "
        f"{', '.join(str(broke.seed) for broke in told.broke) or 'none'}"
    )
    for broke in told.broke:
        _say(f"again: python -m skep.testing.simulation --seeds {broke.seed}")
    if told.missed:
        _say(f"no story reached: {', '.join(told.missed)}")


def _say(words: str) -> None:
    print(words, file=sys.stderr)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
