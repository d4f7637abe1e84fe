"""How often an agent may register: one that does so again and again is told to wait."""

from skep.model.ids import NodeId
from skep.ports.link import LinkError

#: As SwarmKit has it: so many registrations of a node within so many seconds.
REGISTRATIONS_MAX = 3
WINDOW_S = 8.0


class Registrations:
    """Counts registrations by node; soft state of the dispatcher."""

    def __init__(self) -> None:
        self._seen: dict[NodeId, tuple[float, int]] = {}

    def note(self, node_id: NodeId, now: float) -> None:
        """Count one at `now`, seconds of the loop; raise `LinkError` if it is one too many."""
        began, count = self._seen.get(node_id, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        if count == REGISTRATIONS_MAX:
            raise LinkError(f"node {node_id} registered {count} times within {WINDOW_S:g} s: it must wait")
        self._seen[node_id] = (began, count + 1)

    def forget(self, node_id: NodeId) -> None:
        """Forget a node: it is no member any more."""
        self._seen.pop(node_id, None)

    def clear(self) -> None:
        """Forget all: their sessions were ended by the dispatcher itself."""
        self._seen.clear()
