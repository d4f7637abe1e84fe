"""The scene: what was seen of a story, and the tables of what is looked for.

A mark is one of three kinds:

- `@seen("name", Event)`: a look at an event that became durable; the state is that after its whole group;
- `REFUSED`: words of a rejection that a person got;
- `NOTED`: what the simulation's own faults note when they take effect, by `World.note`.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from skep.core.events import Event
from skep.core.record import Record
from skep.core.state import ClusterState
from skep.model.ids import NetworkId, NodeId, ServiceId, TaskId

E = TypeVar("E", bound=Event)

#: What faults, and what people do beside commands, note.
NOTED = (
    "engine-crashed",
    "engine-crashed-with-lost-group",
    "engine-crashed-before-append-landed",
    "engine-crashed-after-append-landed",
    "engine-stopped-in-order",
    "engine-was-away-for-long",
    "start-failed-by-disk",
    "append-unknown-landed",
    "append-unknown-lost",
    "disk-full-refused",
    "slow-append",
    "clock-jumped-ahead",
    "clock-jumped-back",
    "machine-crashed",
    "machine-came-back",
    "link-cut",
    "session-lost",
    "report-delayed",
    "report-repeated",
    "report-reordered",
    "report-unanswered",
    "command-sent-twice",
    "command-of-unknown-outcome",
    "command-unavailable",
    "machine-came-back-otherwise",
    "template-expanded",
    "token-rotated",
    "joined-by-token",
    "worthless-token-refused",
    "machine-joined-anew",
    "worker-left",
    "certificate-renewed",
    "certificate-out-of-date",
    "removed-node-refused-a-certificate",
    "swarm-left",
    "swarm-not-left-by-a-crash",
)

#: A part of a rejection's words -> the mark.
REFUSED = {
    "update out of sequence": "stale-version-refused",
    "secret '": "secret-in-use-refused",
    "config '": "config-in-use-refused",
    "secret not found": "secret-gone-refused",
    "service name conflicts": "service-name-taken-refused",
    "name conflicts with an existing object": "service-name-taken-refused",
    "is already in use by service": "port-in-use-refused",
    "does not have a previous spec": "rollback-without-previous-refused",
    "is not down and can't be removed": "node-not-down-refused",
    "is in use by service": "network-in-use-refused",
    "is being rebalanced already": "rebalance-twice-refused",
    "not manually attachable": "network-not-attachable-refused",
    "is in use by task": "network-in-use-by-a-container-refused",
    "doesn't belong to this node": "container-of-another-node-refused",
    "is none that network": "address-of-no-use-refused",
    "is in use": "address-in-use-refused",
    "no address left on network": "container-without-address-refused",
}

#: Every mark there is.
KNOWN: dict[str, None] = dict.fromkeys((*NOTED, *REFUSED.values()))


class Scene:
    """What was seen of a story so far."""

    def __init__(self) -> None:
        #: the marks that were reached, in their order
        self.reached: dict[str, None] = {}
        self.state = ClusterState()
        #: the events of the record that is looked at
        self.together: tuple[Event, ...] = ()
        #: tasks that waited, nodes that were down, and services whose update was under way, when they were last told of
        self.held: dict[TaskId, None] = {}
        self.down: dict[NodeId, None] = {}
        self.updating: dict[ServiceId, None] = {}
        #: tasks that lacked a generic resource, a port of their host, or an address
        self.lacked_a_unit: dict[TaskId, None] = {}
        self.lacked_a_port: dict[TaskId, None] = {}
        self.lacked_an_address: dict[TaskId, None] = {}
        #: containers on networks, with their nodes and networks; whether the root is being replaced, and keys were made
        self.attached: dict[TaskId, tuple[NodeId, NetworkId, str]] = {}
        self.rotating = False
        self.keyed = False
        self._looks = {event: list(looks) for event, looks in SEEN.items()}

    def note(self, mark: str) -> None:
        """Note that a mark was reached."""
        if mark not in KNOWN:
            raise KeyError(f"{mark} is no mark: it stands in no table of skep.testing.simulation.marks")
        self.reached[mark] = None

    def refused(self, words: str) -> None:
        """Note what a person was refused."""
        for part, mark in REFUSED.items():
            if part in words:
                self.note(mark)
                return

    def look(self, state: ClusterState, records: Iterable[Record]) -> None:
        """Look at a group that became durable, and at the state after it, for marks that were not reached yet."""
        self.state = state
        for record in records:
            self.together = record.events
            for event in record.events:
                looks = self._looks.get(type(event))
                if looks:
                    for row in [row for row in looks if row[1](self, event)]:
                        self.note(row[0])
                        looks.remove(row)
                for remember in REMEMBERED.get(type(event), ()):
                    remember(self, event)


Look = Callable[[Scene, Any], bool]

#: What is looked for at each event, by marks.
SEEN: dict[type[Event], list[tuple[str, Look]]] = {}

#: Told each event after the looks at it, for marks that need to know of the past.
REMEMBERED: dict[type[Event], list[Callable[[Scene, Any], None]]] = {}


def seen(mark: str, *events: type[E]) -> Callable[[Callable[[Scene, E], bool]], Callable[[Scene, E], bool]]:
    """Make a mark of what the function sees at these events."""
    KNOWN[mark] = None

    def add(look: Callable[[Scene, E], bool]) -> Callable[[Scene, E], bool]:
        for event in events:
            SEEN.setdefault(event, []).append((mark, look))
        return look

    return add


def remembers(*events: type[E]) -> Callable[[Callable[[Scene, E], None]], Callable[[Scene, E], None]]:
    """Have the function remember what marks need to know of the past of these events."""

    def add(remember: Callable[[Scene, E], None]) -> Callable[[Scene, E], None]:
        for event in events:
            REMEMBERED.setdefault(event, []).append(remember)
        return remember

    return add
