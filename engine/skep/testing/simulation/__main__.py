"""Run many seeds: `python -m skep.testing.simulation --seeds 0:100`. Stops at the first that fails, and says how."""

import argparse
import logging
import sys
import time
import traceback

import structlog

from skep.testing.simulation.run import simulate


def main() -> int:
    """Return 0 if every story ended well."""
    parser = argparse.ArgumentParser(prog="skep.testing.simulation")
    parser.add_argument("--seeds", default="0:100", help="first and last, the last excluded; or one")
    parser.add_argument("--steps", type=int, default=40, help="how long each story is")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first that fails")
    parser.add_argument("--digests", action="store_true", help="print each story's digest, for comparison")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    first, _, last = options.seeds.partition(":")
    began, records, failed = time.monotonic(), 0, []
    seeds = range(int(first), int(last) if last else int(first) + 1)
    for seed in seeds:
        try:
            ended = simulate(seed, steps=options.steps)
        except Exception:  # noqa: BLE001 - whatever broke is the story's end, and is told
            traceback.print_exc()
            failed.append(seed)
            if not options.go_on:
                break
            continue
        records += ended.records
        if options.digests:
            print(seed, ended.digest)  # noqa: T201 - a command's output
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds, {records} records, {seconds:.1f} s; failed: {failed or 'none'}", file=sys.stderr)  # noqa: T201 - likewise
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
