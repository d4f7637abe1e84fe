"""Which plans are due: keys woken by changes, and keys that asked to be woken at an instant.

A key is handed to its plan once, however often it was woken; plans go in the order of `PLANS`.
"""

from heapq import heappop, heappush

from skep.core.indexes import Touched
from skep.core.plan import PLANS, keys_of
from skep.model.ids import EPOCH, Instant

Key = tuple[str, str]


class Wakes:
    """The keys to plan."""

    def __init__(self) -> None:
        self._due: dict[str, dict[str, None]] = {plan: {} for plan in PLANS}
        self._timers: list[tuple[Instant, Key]] = []
        #: when a key is to be woken; a timer that differs from it is out of date
        self._at: dict[Key, Instant] = {}

    def touch(self, touched: Touched) -> None:
        """Wake what a change wakes."""
        for topic, key in touched.keys:
            for plan, plan_key in keys_of(topic, key):
                self._due[plan][plan_key] = None

    def wake(self, plan: str, key: str) -> None:
        """Wake one key now."""
        self._due[plan][key] = None

    def wake_at(self, plan: str, key: str, at: Instant) -> None:
        """Wake one key at an instant, in place of what it asked before (0: not at all)."""
        if not at:
            self._at.pop((plan, key), None)
        elif self._at.get((plan, key)) != at:
            self._at[plan, key] = at
            heappush(self._timers, (at, (plan, key)))

    def next_at(self) -> Instant | None:
        """Return the instant of the next timer; None if there is none."""
        while self._timers and self._at.get(self._timers[0][1]) != self._timers[0][0]:
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def wakes_at(self, plan: str, key: str) -> Instant:
        """Return the instant at which a key is to be woken; 0 if at none."""
        return self._at.get((plan, key), EPOCH)

    def due(self) -> list[Key]:
        """Return the keys that are due, in the order in which they will be planned."""
        return [(plan, key) for plan, keys in self._due.items() for key in keys]

    def ring(self, now: Instant) -> None:
        """Wake the keys whose instant has come."""
        while (at := self.next_at()) is not None and at <= now:
            _, key = heappop(self._timers)
            del self._at[key]
            self._due[key[0]][key[1]] = None

    def pop(self) -> Key | None:
        """Return the next key to plan, and forget that it is due; None if all are content."""
        for plan, keys in self._due.items():
            if keys:
                key = next(iter(keys))
                del keys[key]
                return plan, key
        return None

    def clear(self) -> None:
        """Forget every key and every timer."""
        for keys in self._due.values():
            keys.clear()
        self._timers.clear()
        self._at.clear()

    @property
    def idle(self) -> bool:
        """Whether no key is due."""
        return not any(self._due.values())
