"""What the marker `skep` says: what the swarm of a test is like."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct
from skep.runtime.engine import ExecutorFactory
from skep.runtime.simulated import Behaviour

#: More nodes than this in a test are a mistake.
NODES_MAX = 1_000


class OptionError(Exception):
    """The marker says what cannot be."""


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What a swarm is like.

    `images` are behaviours of simulated tasks, commands of processes, or coroutine functions, by image. `executor` may
    also be what makes one of a node's name and number. With `time="virtual"` delays pass at once while something is
    under way.
    """

    nodes: int = 1
    executor: Literal["simulated", "process"] | ExecutorFactory = "simulated"
    time: Literal["virtual", "real"] = "virtual"
    images: Mapping[str, Behaviour | Sequence[str] | Callable[..., Awaitable[Any]]] = {}
    init: bool = True


def read_options(marks: Iterable[pytest.Mark]) -> Options:
    """Return what `marks` say together; the later ones count more.

    Raises:
        OptionError: that cannot be.
    """
    said: dict[str, Any] = {}
    for mark in marks:
        if mark.args:
            raise OptionError("the marker skep takes options by name only")
        said |= mark.kwargs
    if unknown := sorted(set(said) - set(Options.__struct_fields__)):
        known = ", ".join(Options.__struct_fields__)
        raise OptionError(f"the marker skep has no option {unknown[0]!r}: there are {known}")
    executor = said.get("executor", "simulated")
    # who runs real tasks cannot hurry them
    options = Options(**{"time": "virtual" if executor == "simulated" else "real", **said})
    if why := _wrong(options):
        raise OptionError(f"the marker skep: {why}")
    return options


def _wrong(options: Options) -> str:
    if not isinstance(options.nodes, int) or not 1 <= options.nodes <= NODES_MAX:
        return f"nodes is {options.nodes!r}, and has to be a number from 1 to {NODES_MAX}"
    if options.executor not in ("simulated", "process") and not callable(options.executor):
        return f"executor is {options.executor!r}, and has to be 'simulated', 'process', or what makes one"
    if options.time not in ("virtual", "real"):
        return f"time is {options.time!r}, and has to be 'virtual' or 'real'"
    if options.executor == "process" and options.time == "virtual":
        return "processes live in real time"
    if not isinstance(options.images, Mapping):
        return "images has to be a dict"
    simulated = options.executor == "simulated"
    for image, said in options.images.items():
        if iscoroutinefunction(said):
            continue
        if isinstance(said, Behaviour) is not simulated or isinstance(said, str):
            wanted = "a Behaviour" if simulated else "a list of words"
            return f"image {image!r} has to be {wanted}, or a coroutine function"
    return ""


def convert_behaviour(said: Mapping[str, Any]) -> Behaviour:
    """Return the behaviour that `said` describes.

    Raises:
        OptionError: there is no such behaviour.
    """
    if unknown := sorted(set(said) - set(Behaviour.__struct_fields__)):
        known = ", ".join(Behaviour.__struct_fields__)
        raise OptionError(f"a task has no {unknown[0]!r} to behave by: there are {known}")
    try:
        return msgspec.convert(dict(said), Behaviour)
    except msgspec.ValidationError as error:
        raise OptionError(f"no behaviour: {error}") from None
