"""Given events, when commands, then: events, a rejection, or what it settles to. All of it values.

given(*two_nodes, *web(replicas=2)).when(drain("node-1")).settles(lambda s: not s.node_tasks["node-1"].active)
"""
# A kit for tests is made of asserts:
# ruff: noqa: S101

from collections.abc import Callable, Iterable

from skep.core.commands import Command
from skep.core.events import Event
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.record import Submitted
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.core.transaction import submit
from skep.model.ids import Instant, Position
from skep.testing.core_swarm import PERSON, CoreSwarm
from skep.testing.expectation import raising
from skep.testing.sources import BEGINNING

#: How long `settles` lets time pass: more than any default delay or monitor.
SETTLE_S = 60.0


class Given:
    """A state that events led to, each at a position of its own."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.state = ClusterState()
        for number, event in enumerate(events, 1):
            fold(self.state, Position(number), Instant(BEGINNING + number), "", (event,))
        self.state.take_touched()

    def when(self, *commands: Command) -> "When":
        """Decide commands as one."""
        return When(self.state, commands)


class When:
    """Commands over a state, not decided yet: the state is as it was after any of these."""

    def __init__(self, state: ClusterState, commands: tuple[Command, ...]) -> None:
        self._state = state
        self._commands = commands

    def then(self, *events: Event) -> None:
        """Expect exactly these events, none if it is already so."""
        state = self._state.copy()
        record = submit(state, Submitted(self._commands), state.time, PERSON, state.position)
        assert (record.events if record else ()) == events
        check(state)

    def rejects(self, words: str, code: Code | None = None) -> None:
        """Expect a rejection in these words, which leaves the state as it was."""
        state = self._state.copy()
        with raising(Rejected) as caught:
            submit(state, Submitted(self._commands), state.time, PERSON, state.position)
        assert isinstance(caught.error, Rejected)
        assert str(caught.error) == words
        assert code in (None, caught.error.code), caught.error.code
        assert (state.position, state.time) == (self._state.position, self._state.time)

    def settles(self, predicate: Callable[[ClusterState], object], *, within_s: float = SETTLE_S) -> None:
        """Expect `predicate` to hold once plans and agents had that much time."""
        swarm = CoreSwarm(state=self._state)
        swarm.submit(*self._commands)
        swarm.advance(within_s)
        assert predicate(swarm.state), "it settles to something else"
        swarm.check()


def given(*events: Event) -> Given:
    """Begin with what these events led to."""
    return Given(events)
