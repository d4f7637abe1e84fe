"""A ranking: the nodes of a pool in the order of one service that has tasks on most of them.

A heap of each group holds an entry for every node that fits: (recent failures, tasks of the service, active tasks,
rank) as one number. As in a pool, an entry may be too low, and is put right when it comes to the top; it is never too
high without another being there, since whatever sinks is entered anew.

A ranking is remembered from one plan to the next (`skep.core.plan.scheduler.ground`), so that a service on many nodes
costs what it places, and not a look at all of them each time.
"""

from collections.abc import Callable, Mapping
from heapq import heapify, heappush

from skep.core.plan.scheduler.pool import NO_PATH, RANK, RANK_BITS, Nodes, Path, Pool
from skep.model.ids import NodeId

#: Where each number of an entry begins; failures stand on top.
OWN_SHIFT = 2 * RANK_BITS
FAULTY_SHIFT = 3 * RANK_BITS

#: Tells the entry of a node as it is now.
Entry = Callable[[int], int]


class Ranking:
    """The heaps of one service and one pool, by group; a group has one from when it first needs it."""

    __slots__ = ("_faulty", "_pushed", "_read", "heaps", "pool")

    def __init__(self, pool: Pool, faulty: Mapping[int, int], read: int) -> None:
        self.pool = pool
        self.heaps: dict[Path, list[int]] = {}
        self._faulty = faulty
        #: how much of the ground's log it knows
        self._read = read
        self._pushed = 0

    def follow(self, log: list[int], faulty: Mapping[int, int], entry: Entry) -> bool:
        """Take in what changed since the last time, after the pool did; return whether that was worth while."""
        changed = dict.fromkeys(log[self._read :])
        for rank in {**self._faulty, **faulty}:
            if self._faulty.get(rank) != faulty.get(rank):
                changed[rank] = None
        self._read, self._faulty = len(log), faulty
        self._pushed += len(changed)
        if self._pushed > len(self.pool.verdicts) + 1000:
            return False
        verdicts, paths, heaps = self.pool.verdicts, self.pool.paths, self.heaps
        for rank in changed:
            if not verdicts[rank]:
                heap = heaps.get(paths[rank] if paths else NO_PATH)
                if heap is not None:
                    heappush(heap, entry(rank))
        return True

    def begin(self, path: Path, on_node: Mapping[NodeId, int], nodes: Nodes) -> list[int]:
        """Rank the nodes of a group, all of which are in the pool's heap; entries may be too low."""
        ids, active = nodes.ids, nodes.active
        heap = [
            on_node.get(ids[rank], 0) << OWN_SHIFT | active[rank] << RANK_BITS | rank
            for entry in self.pool.heaps[path]
            for rank in (entry & RANK,)
        ]
        heapify(heap)
        self.heaps[path] = heap
        return heap

    def end(self, log: list[int]) -> None:
        """Note that the log's end is known: it tells of what was taken by this very order."""
        self._read = len(log)
