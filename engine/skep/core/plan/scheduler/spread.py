"""The choice among nodes that fit, for the tasks of one template of one service.

The best node is that with the least of, in this order: tasks of the service in its group, for each label to spread
over; recent failures, where there are too many; tasks of the service; active tasks of all; rank.

A group has its nodes in two parts. The first is the pool's own heap, from which what has tasks of the service, or too
many failures, is set aside for as long as the service is placed. When nothing else is left, those that were set aside
follow, in an order of their own.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace

from skep.core.plan.scheduler.pool import RANK, RANK_BITS, Path, Pool
from skep.core.plan.scheduler.view import View
from skep.model.ids import NodeId
from skep.model.service import GenericResource

#: How good a node is: the less, the better; its rank comes last.
Key = tuple[int, ...]


class Search:
    """The nodes of a pool for one service: `own` counts its active tasks by node, `faulty` its recent failures."""

    __slots__ = ("_extra", "faulty", "given", "groups", "most", "on_node", "pool", "root", "view")

    def __init__(
        self, view: View, pool: Pool, on_node: Mapping[NodeId, int], extra: dict[int, int], faulty: dict[int, int]
    ) -> None:
        self.view = view
        self.pool = pool
        self.on_node = on_node
        #: tasks of the service that this plan placed, by rank
        self._extra = extra
        self.faulty = faulty
        self.most = pool.needs.max_replicas
        #: the generic resources of the node that was last chosen
        self.given: tuple[GenericResource, ...] = ()
        self.groups = [_Group(self, path) for path in pool.heaps]
        self.root: _Group | _Branch
        if pool.needs.spread:
            self.root = _branch(self.groups, self._counts(), 0)
        else:
            self.root = self.groups[0]

    def next(self) -> int:
        """Return the rank of the best node, where a task is from now on; -1 if none is left."""
        key = self.root.best()
        if key is None:
            return -1
        rank = key[-1]
        self._extra[rank] = self._extra.get(rank, 0) + 1
        self.view.active[rank] += 1
        if self.pool.needs.demand is not None:
            self.given = self.view.take(rank, self.pool.needs.demand)
        self.root.take()
        return rank

    def end(self) -> None:
        """Put back what was set aside."""
        for group in self.groups:
            group.put_back()

    def own(self, rank: int) -> int:
        """Return how many active tasks of the service a node has."""
        return self.on_node.get(self.view.ids[rank], 0) + self._extra.get(rank, 0)

    def _counts(self) -> dict[Path, int]:
        """Return how many tasks the service has under each beginning of a path; nodes that do not fit count, too."""
        rank_of, paths = self.view.ground.rank, self.pool.paths
        by_rank = dict(self._extra)
        for node_id, count in self.on_node.items():
            rank = rank_of.get(node_id)
            if rank is not None:
                by_rank[rank] = by_rank.get(rank, 0) + count
        counts: dict[Path, int] = {}
        for rank, count in by_rank.items():
            path = paths[rank]
            for depth in range(1, len(path) + 1):
                counts[path[:depth]] = counts.get(path[:depth], 0) + count
        return counts


class _Group:
    """The nodes of one path; all of them where the class spreads over no label."""

    __slots__ = ("_aside", "_free", "_late", "_search", "path")

    def __init__(self, search: Search, path: Path) -> None:
        self.path = path
        self._search = search
        self._free = search.pool.heaps[path]
        self._aside: dict[int, None] = {}
        self._late: list[Key] | None = None

    def best(self) -> Key | None:
        """Return how good the best node is; None if none is left."""
        if self._late is None:
            key = self._best_free()
            if key is not None:
                return key
            self._late = self._all_aside()
        late, pool, view = self._late, self._search.pool, self._search.view
        while late and not pool.has_room(view, late[0][-1]):
            heappop(late)
        return late[0] if late else None

    def take(self) -> None:
        """Count a task on the best node, which `best` just found, and whose load counts it already."""
        if self._late is None:
            self._aside[heappop(self._free) & RANK] = None
            return
        failures, own, load, rank = self._late[0]
        if self._search.most and own + 1 >= self._search.most:
            heappop(self._late)
        else:
            heapreplace(self._late, (failures, own + 1, load + 1, rank))

    def put_back(self) -> None:
        """Let the pool have again what was set aside."""
        free, aside, verdicts = self._free, self._aside, self._search.pool.verdicts
        active = self._search.view.active
        entries = [active[rank] << RANK_BITS | rank for rank in aside if not verdicts[rank]]
        if len(entries) > len(free):
            free += entries
            heapify(free)
        else:
            for entry in entries:
                heappush(free, entry)

    def _best_free(self) -> Key | None:
        search, free, aside = self._search, self._free, self._aside
        pool, view = search.pool, search.view
        active, verdicts, paths, demand = view.active, pool.verdicts, pool.paths, pool.needs.demand
        while free:
            entry = free[0]
            rank = entry & RANK
            load = active[rank]
            if verdicts[rank] or rank in aside or (paths and paths[rank] != self.path):
                heappop(free)
            elif entry >> RANK_BITS != load:
                heapreplace(free, load << RANK_BITS | rank)
            elif demand is not None and not pool.has_room(view, rank):
                heappop(free)
            elif rank in search.faulty or search.own(rank):
                aside[rank] = None
                heappop(free)
            else:
                return (0, 0, load, rank)
        return None

    def _all_aside(self) -> list[Key]:
        search, active = self._search, self._search.view.active
        late: list[Key] = [
            (search.faulty.get(rank, 0), own, active[rank], rank)
            for rank in self._aside
            for own in (search.own(rank),)
            if not search.most or own < search.most
        ]
        heapify(late)
        return late


class _Branch:
    """Groups that share the beginning of a path: a heap of (tasks of the service, the best one's key, the group)."""

    __slots__ = ("_heap",)

    def __init__(self, parts: list[tuple[int, "_Group | _Branch"]]) -> None:
        # ranks differ, so that comparing never gets as far as the group
        self._heap: list[tuple[int, Key, _Group | _Branch]] = [
            (count, key, part) for count, part in parts if (key := part.best()) is not None
        ]
        heapify(self._heap)

    def best(self) -> Key | None:
        """Return how good the best node is; None if none is left."""
        return (self._heap[0][0], *self._heap[0][1]) if self._heap else None

    def take(self) -> None:
        """Count a task on the best node."""
        count, _, part = self._heap[0]
        part.take()
        key = part.best()
        if key is None:
            heappop(self._heap)
        else:
            heapreplace(self._heap, (count + 1, key, part))


def _branch(groups: list[_Group], counts: Mapping[Path, int], depth: int) -> _Group | _Branch:
    """Return groups whose paths agree so far as one."""
    if groups and depth == len(groups[0].path):
        return groups[0]
    parts: dict[Path, list[_Group]] = {}
    for group in groups:
        parts.setdefault(group.path[: depth + 1], []).append(group)
    return _Branch([(counts.get(path, 0), _branch(part, counts, depth + 1)) for path, part in parts.items()])
