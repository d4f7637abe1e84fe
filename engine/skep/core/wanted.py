"""Which tasks of each seat are wanted: nearly always all that are known of it, so it is kept where it is otherwise.

A table of its own would cost forty bytes a task for what the seats already say.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from skep.model.ids import Seat, TaskId

D = TypeVar("D")

TaskIds = tuple[TaskId, ...]


class WantedBySeat(Mapping[Seat, TaskIds]):
    """A view over `seats`, all tasks known of each seat, oldest first; of those wanted, in the order of their wanting.

    It has the seats in which any task is wanted. A task must be seated before it is wanted, and unwanted before it is
    unseated.
    """

    __slots__ = ("_idle", "_otherwise", "_seats")

    def __init__(self, seats: dict[Seat, TaskIds]) -> None:
        self._seats = seats
        #: seats of whose tasks not all are wanted
        self._otherwise: dict[Seat, TaskIds] = {}
        #: how many of them have none that is
        self._idle = 0

    def copy(self, seats: dict[Seat, TaskIds]) -> "WantedBySeat":
        """Return a copy over a copy of the seats."""
        twin = WantedBySeat(seats)
        twin._otherwise, twin._idle = dict(self._otherwise), self._idle
        return twin

    def __getitem__(self, seat: Seat) -> TaskIds:
        """Return the wanted tasks of a seat that has any."""
        wanted = self._otherwise.get(seat)
        if wanted is None:
            return self._seats[seat]
        if not wanted:
            raise KeyError(seat)
        return wanted

    def get(self, seat: Seat, default: D = ()) -> TaskIds | D:  # type: ignore[assignment]  # nothing is a tuple here
        """Return the wanted tasks of a seat; `default` if it has none."""
        wanted = self._otherwise.get(seat)
        if wanted is None:
            return self._seats.get(seat, default)
        return wanted or default

    def __contains__(self, seat: object) -> bool:
        """Whether any task of a seat is wanted."""
        wanted = self._otherwise.get(seat)  # type: ignore[call-overload]  # what is no seat is not there
        return seat in self._seats if wanted is None else bool(wanted)

    def __iter__(self) -> Iterator[Seat]:
        """Yield the seats in which a task is wanted."""
        otherwise = self._otherwise
        return (seat for seat in self._seats if otherwise.get(seat, True))

    def __len__(self) -> int:
        """Return in how many seats a task is wanted."""
        return len(self._seats) - self._idle

    def seat(self, seat: Seat, task_id: TaskId) -> int:
        """Let a task be known of a seat, not wanted yet; return how many are."""
        known = self._seats.get(seat, ())
        if seat not in self._otherwise:
            self._otherwise[seat] = known
            self._idle += not known
        self._seats[seat] = (*known, task_id)
        return len(known) + 1

    def unseat(self, seat: Seat, task_id: TaskId) -> int:
        """Forget a task of a seat that is not wanted there; return how many are left."""
        left = tuple(i for i in self._seats[seat] if i != task_id)
        if not left:
            del self._seats[seat], self._otherwise[seat]
            self._idle -= 1
            return 0
        self._seats[seat] = left
        if len(left) == len(self._otherwise[seat]):
            del self._otherwise[seat]
        return len(left)

    def want(self, seat: Seat, task_id: TaskId) -> int:
        """Let a task that is known of a seat be wanted; return how many of it were before."""
        before = self._otherwise[seat]
        self._idle -= not before
        if len(before) + 1 == len(self._seats[seat]):
            del self._otherwise[seat]
        else:
            self._otherwise[seat] = (*before, task_id)
        return len(before)

    def unwant(self, seat: Seat, task_id: TaskId) -> int:
        """Let a task be wanted no more; return how many of its seat are left."""
        left = tuple(i for i in self._otherwise.get(seat, self._seats[seat]) if i != task_id)
        self._otherwise[seat] = left
        self._idle += not left
        return len(left)
