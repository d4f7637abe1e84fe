"""Where tasks failed lately, so that the scheduler prefers other nodes for their service.

As in SwarmKit: counted by service, template and node; not for tasks that were born with their node, since the scheduler
does not choose it. A table of the state: the tasks that failed may be forgotten since.
"""

from msgspec import Struct, field

from skep.model.ids import NANOSECONDS, Instant, NodeId, Position

#: Failures are recent for so long, and with so many a node is one of the last to be chosen (SwarmKit's constants).
RECENT = 300 * NANOSECONDS
FAULTY = 5

#: So many instants are kept of one node: beyond it nodes are equally bad.
KEPT = 10


class Failures(Struct):
    """When tasks of one service failed: by template, then by node, in the order of their last failures."""

    at: dict[Position, dict[NodeId, tuple[Instant, ...]]] = field(default_factory=dict)

    def copy(self) -> "Failures":
        """Return an independent copy."""
        return Failures({spec_version: dict(nodes) for spec_version, nodes in self.at.items()})

    def note(self, spec_version: Position, node_id: NodeId, now: Instant) -> None:
        """Keep that a task failed, and forget nodes whose failures are all old."""
        nodes = self.at.setdefault(spec_version, {})
        nodes[node_id] = (*nodes.pop(node_id, ()), now)[-KEPT:]
        while (oldest := next(iter(nodes))) != node_id and nodes[oldest][-1] <= now - RECENT:
            del nodes[oldest]

    def faulty(self, spec_version: Position, now: Instant) -> dict[NodeId, int]:
        """Return the nodes with so many recent failures that others are to be preferred, with their number."""
        counts = {
            node_id: sum(now - at <= RECENT for at in instants)
            for node_id, instants in self.at.get(spec_version, {}).items()
            if len(instants) >= FAULTY
        }
        return {node_id: count for node_id, count in counts.items() if count >= FAULTY}
