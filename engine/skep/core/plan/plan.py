"""What a plan is: a pure function of the state, a key and an instant; silent when content."""

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from skep.core.commands import Command
from skep.core.state import ClusterState
from skep.model.ids import START, Instant, Position


class Plan(Struct, frozen=True):
    """What brings a key nearer to what is wanted.

    No commands means content, for any instant before `wake_at` (0: until something changes). `cause` is the position
    that the commands answer, taken from the state. `more` says that a row budget cut the plan short: plan again.
    """

    commands: tuple[Command, ...] = ()
    cause: Position = START
    wake_at: Instant = Instant(0)
    more: bool = False


CONTENT = Plan()


class Ids(Protocol):
    """A source of ids: random when planning, the recorded ones when a plan is verified."""

    def new(self) -> str:
        """Return an id that nothing has."""
        ...


Planner = Callable[[ClusterState, str, Instant, Ids], Plan]


def earliest(*instants: int) -> Instant:
    """Return the earliest of the instants that are set; 0 if none is."""
    return Instant(min((i for i in instants if i), default=0))


def take(ids: Ids, count: int) -> Iterator[str]:
    """Yield `count` new ids."""
    return (ids.new() for _ in range(count))
