"""The desk of a person: what they have before them, and the table of all that is asked.

A kind of request is one function with `@asked` in `people` or `operators`: it returns a command, or None where there is
nothing of which to ask it.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar

from msgspec import Struct

from skep.core.commands import Command
from skep.core.state import ClusterState
from skep.model.ids import Position, ServiceId
from skep.model.service import ServiceSpec
from skep.ports.clock import Ids
from skep.testing.simulation.machine import Machine

T = TypeVar("T")


class Request(Struct):
    """Something asked, and what was answered: the position, if it was acknowledged; and how often that was."""

    id: str
    command: Command
    acknowledged: Position | None = None
    times: int = 0


class Desk(Struct):
    """What a person has before them: what they draw, the state that they see, and the specs that services had."""

    random: Random
    state: ClusterState
    ids: Ids
    new_machine: Callable[[], Machine]
    specs: Mapping[ServiceId, Mapping[Position, ServiceSpec]]

    def pick(self, table: Mapping[Any, T]) -> T | None:
        """Draw one of a table."""
        return self.random.choice(list(table.values())) if table else None

    def likely(self, chance: float) -> bool:
        """Whether something that happens so often happens now."""
        return self.random.random() < chance


Ask = Callable[[Desk], Command | None]

#: The kinds of requests, each as often as it is asked.
ASKS: list[Ask] = []


def asked(times: int) -> Callable[[Ask], Ask]:
    """Have people ask this, so many times as often as what is asked once."""

    def add(ask: Ask) -> Ask:
        ASKS.extend([ask] * times)
        return ask

    return add
