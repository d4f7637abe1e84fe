"""The ground: nodes by rank, how loaded they are, and pools of those that fit tasks of a class.

It is what the scheduler remembers between plans (`state.shifts.memo`), brought up to date from what shifted since. A
ground that is built anew gives the same answers: it only costs a look at every node.

- A node's rank is its place in the order of joining. Ranks are never used twice.
- `log` names ranks whose load sank, or on which something else changed; every pool reads on from where it stopped.
"""

from skep.core.indexes import NodeTasks
from skep.core.needs import Needs
from skep.core.plan.scheduler.filters import Verdict
from skep.core.plan.scheduler.pool import Pool
from skep.core.plan.scheduler.ranking import Ranking
from skep.core.state import ClusterState
from skep.model.ids import NodeId, Position, ServiceId
from skep.model.node import Node

#: So many pools are remembered: each costs some ten bytes a node. The one that was made first goes first.
POOLS_MAX = 256

#: So many rankings are remembered: each costs some forty bytes a node. The one that was made first goes first.
RANKINGS_MAX = 16

_IDLE = NodeTasks()


class Ground:
    """All nodes as the scheduler sees them; `closed[rank]` is the verdict on a node whatever the task."""

    __slots__ = ("active", "closed", "ids", "log", "pools", "rank", "rankings")

    def __init__(self, state: ClusterState) -> None:
        indexes = state.node_tasks
        self.ids: list[NodeId] = list(state.nodes)
        self.rank: dict[NodeId, int] = dict(zip(self.ids, range(len(self.ids)), strict=True))
        if indexes:
            self.active = [indexes.get(node_id, _IDLE).active for node_id in self.ids]
        else:
            self.active = [0] * len(self.ids)
        self.closed = bytearray(len(self.ids))
        for node_id in state.closed:
            self.closed[self.rank[node_id]] = Verdict.UNAVAILABLE
        self.log: list[int] = []
        self.pools: dict[Needs, Pool] = {}
        #: of templates of services that have tasks on most nodes
        self.rankings: dict[tuple[ServiceId, Position], Ranking] = {}

    def follow(self, state: ClusterState) -> bool:
        """Take in what shifted; return whether that was possible."""
        shifts = state.shifts
        for node_id in shifts.removed:
            rank = self.rank.pop(node_id, None)
            if rank is not None:
                self.closed[rank] = Verdict.GONE
                self.log.append(rank)
        for node_id in shifts.nodes:
            self._look(state.nodes[node_id])
        for node_id in shifts.loads:
            rank = self.rank.get(node_id)
            if rank is not None:
                self.active[rank] = state.node_tasks[node_id].active
                self.log.append(rank)
        if len(self.log) > 4 * len(self.ids) + 1000:
            self.log.clear()
            self.pools.clear()
            self.rankings.clear()
        return len(self.ids) <= 2 * len(self.rank) + 1000

    def _look(self, node: Node) -> None:
        rank = self.rank.get(node.id)
        closed = not node.schedulable
        if rank is None:
            rank = self.rank[node.id] = len(self.ids)
            self.ids.append(node.id)
            self.active.append(0)
            self.closed.append(closed)
        self.closed[rank] = closed
        self.log.append(rank)


def ground_of(state: ClusterState) -> Ground:
    """Return the ground of a state, from what is remembered if that can be.

    What is remembered is taken away: who asked gives it back, unless something goes wrong.
    """
    shifts = state.shifts
    ground, shifts.memo = shifts.memo, None
    if not isinstance(ground, Ground) or shifts.promised is not None or not ground.follow(state):
        ground = Ground(state)
    shifts.promised = None
    shifts.nodes, shifts.removed, shifts.loads = {}, {}, {}
    return ground
