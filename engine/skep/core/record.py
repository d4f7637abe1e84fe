"""The transaction record: what the log is made of.

`{position, time, actor, cause, seen, input, events[]}`: one record, one JSON object, one position.

- `time` = max(wall clock, time of the record before), nanoseconds;
- `actor`: who did it; `cause`: the position that the input answers (0 only where the actor is outside);
- `seen`: the position of the state that its author looked at;
- `input`: the commands as sent, or for a plan its name, key and instant: enough to decide again.
"""

from msgspec import Struct

from skep.core.commands import Command
from skep.core.events import Event
from skep.model.ids import START, Instant, Position


class Actor(Struct, frozen=True, omit_defaults=True):
    """Who: `kind` is person, plan, agent, clock or engine; `name` tells which; `via` by what client."""

    kind: str
    name: str = ""
    via: str = ""


class Submitted(Struct, frozen=True, tag="commands", tag_field="type", omit_defaults=True):
    """Commands from outside, decided as one: all or nothing. An id that was seen before counts as done."""

    commands: tuple[Command, ...]
    id: str = ""


class Planned(Struct, frozen=True, tag="plan", tag_field="type", omit_defaults=True):
    """A plan that was made over the state before; running it again, in the same `version`, gives the same commands."""

    plan: str
    key: str
    now: Instant
    version: int = 1


class Record(Struct, frozen=True):
    """One transaction, decoded. `unknown` holds the names of events that this version may ignore."""

    position: Position
    time: Instant
    actor: Actor
    input: Submitted | Planned
    events: tuple[Event, ...]
    cause: Position = START
    seen: Position = START
    unknown: tuple[str, ...] = ()

    @property
    def command_id(self) -> str:
        """The id under which its commands were sent; empty if none."""
        return self.input.id if isinstance(self.input, Submitted) else ""
