"""The command line: which commands there are, and how a failure is told.

An environment error is one sentence on standard error and exit code 1. A traceback is a bug of ours.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from skep_adapters.cli.options import OptionError, UpOptions, check

FAILED = 1
INTERRUPTED = 130  # what a shell says of SIGINT

app = App(
    name="skep",
    help="Docker Swarm's control plane, event-sourced: a daemon that the docker CLI drives.",
    version=lambda: installed_version("skep"),
)


@app.command
def up(options: UpOptions = UpOptions()) -> int:  # noqa: B008 - frozen, and what every option's default is read from
    """Run the daemon until it is told to end."""
    check(options)
    from skep_adapters.cli.daemon import run  # noqa: PLC0415 - the engine; see the package's docstring

    return run(options)


@app.command
def verify(
    *,
    data: Annotated[Path, Parameter(help="Directory that skep up keeps everything in.")] = Path("data"),
    quick: Annotated[bool, Parameter(negative=(), help="Look only at what can be seen at a glance.")] = False,
) -> int:
    """Check that every log kept is whole and that its decisions follow from it; a daemon may run meanwhile."""
    from skep_adapters.cli.verifying import run  # noqa: PLC0415 - likewise

    return run(data.expanduser().absolute(), quick=quick)


@app.command
def systemd_unit(options: UpOptions = UpOptions()) -> int:  # noqa: B008 - likewise
    """Print a unit for systemd, so that the swarm comes back after a reboot."""
    check(options)
    from skep_adapters.cli.systemd import unit  # noqa: PLC0415 - only this command needs it

    sys.stdout.write(unit(options))
    return 0


@app.command
def version() -> int:
    """Print the version."""
    sys.stdout.write(f"skep {installed_version('skep')}\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say (the process's by default); return the exit code."""
    try:
        command, bound, _ = app.parse_args(argv, print_error=False, exit_on_error=False)
        code: int | None = command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        return _refused(" ".join(str(error).split()))
    except OptionError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from skep_adapters.cli.failures import told  # noqa: PLC0415 - needed only now

        sentence = told(error)
        if sentence is None:
            raise
        return _refused(sentence)
    return code or 0


def _refused(sentence: str) -> int:
    sys.stderr.write(f"skep: {sentence}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
