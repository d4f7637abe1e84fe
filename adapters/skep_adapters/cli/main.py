"""The command line: which commands there are, and how a failure is told.

An environment error is one sentence on standard error and exit code 1. A traceback is a bug of ours.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from skep_adapters.cli.option_error import OptionError
from skep_adapters.cli.options import UpOptions, check

FAILED = 1
INTERRUPTED = 130  # what a shell says of SIGINT

#: Where a command finds the daemon that it asks.
Host = Annotated[
    str,
    Parameter(
        name=["--host", "-H"],
        negative=(),
        show_default=False,
        help="The daemon, unix://PATH or tcp://HOST:PORT. [default: DOCKER_HOST, else unix://./data/skep.sock]",
    ),
]

app = App(
    name="skep",
    help="Docker Swarm's control plane, event-sourced: a daemon that the docker CLI drives.",
    version=lambda: installed_version("skep"),
)


rollback = App(name="rollback", help="Go back to what was before; it is a new change, made like any other.")
app.command(rollback)

stack = App(name="stack", help="Stacks, each deployed as one change and gone back to as a whole.")
app.command(stack)


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
def updates(service: str, *, host: Host = "") -> int:
    """Show how the last updates and rollbacks of SERVICE ended, and by which of its specs, numbered from 1."""
    from skep_adapters.cli.services import show_updates  # noqa: PLC0415 - likewise

    return show_updates(service, host)


@rollback.command(name="service")
def rollback_service(
    service: str,
    *,
    to: Annotated[int, Parameter(help="Number of the spec, as skep updates shows it.")],
    host: Host = "",
) -> int:
    """Give SERVICE any earlier spec again, by a rolling update."""
    from skep_adapters.cli.services import roll_back  # noqa: PLC0415 - likewise

    return roll_back(service, to, host)


@app.command
def rebalance(
    service: str, *, budget: Annotated[int, Parameter(help="How many tasks may move at most.")], host: Host = ""
) -> int:
    """Spread the tasks of SERVICE over the nodes anew, one task at a time, each when the one before runs."""
    from skep_adapters.cli import services  # noqa: PLC0415 - likewise

    return services.rebalance(service, budget, host)


@stack.command(name="deploy")
def deploy_stack(
    name: str,
    *,
    compose_file: Annotated[
        tuple[Path, ...],
        Parameter(
            name=["--compose-file", "-c"],
            negative=(),
            consume_multiple=False,
            help="A Compose file of version 3; of several, each is laid over those before it.",
        ),
    ],
    env_file: Annotated[
        tuple[Path, ...],
        Parameter(negative=(), consume_multiple=False, help="A file of variables, below those of the environment."),
    ] = (),
    prune: Annotated[bool, Parameter(negative=(), help="Remove services of the stack that no file names.")] = False,
    resolve_image: Annotated[
        Literal["always", "never"], Parameter(help="Whether registries are asked for the digests of images.")
    ] = "always",
    host: Host = "",
) -> int:
    """Make the stack NAME what Compose files say: all of it, or nothing."""
    from skep_adapters.cli import stacks  # noqa: PLC0415 - likewise

    return stacks.deploy(name, compose_file, env_file, host, prune=prune, resolve=resolve_image)


@stack.command(name="ls")
def list_stacks(*, host: Host = "") -> int:
    """Show the stacks that have services."""
    from skep_adapters.cli import stacks  # noqa: PLC0415 - likewise

    return stacks.list_stacks(host)


@stack.command(name="history")
def stack_history(name: str, *, host: Host = "") -> int:
    """Show the deployments of the stack NAME, numbered from 1: those of docker stack deploy, too."""
    from skep_adapters.cli import stacks  # noqa: PLC0415 - likewise

    return stacks.show_history(name, host)


@stack.command(name="rollback")
def rollback_stack(
    name: str,
    *,
    to: Annotated[int, Parameter(help="Number of the deployment, as skep stack history shows it.")],
    host: Host = "",
) -> int:
    """Bring all services of the stack NAME back to what they were after a deployment, by rolling updates."""
    from skep_adapters.cli import stacks  # noqa: PLC0415 - likewise

    return stacks.roll_back(name, to, host)


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
