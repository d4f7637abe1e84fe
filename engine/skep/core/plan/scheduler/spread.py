"""The choice among nodes that fit, for the tasks of one template of one service.

The best node is that with the least of, in this order: tasks of the service in its group, for each label to spread
over; recent failures, where there are too many; tasks of the service; active tasks of all; rank.

A group looks first at the pool's own heap, for nodes that have no task of the service: what has some, or too many
failures, is set aside for as long as the service is placed. When nothing else is left, or too much was set aside, the
group goes over to a ranking of its own (`skep.core.plan.scheduler.ranking`).
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace

from skep.core.plan.scheduler.pool import RANK, RANK_BITS, Path, Pool
from skep.core.plan.scheduler.ranking import FAULTY_SHIFT, OWN_SHIFT, Ranking
from skep.core.plan.scheduler.view import View
from skep.model.ids import NodeId
from skep.model.service import GenericResource

#: How good a node is: the less, the better; an entry as in a ranking comes last, and its rank in its lowest bits.
Key = tuple[int, ...]

#: One task more on a node: of the service, and of all.
ONE = (1 << OWN_SHIFT) + (1 << RANK_BITS)

#: What part of a group's nodes may be set aside for nothing before it goes over to a ranking, which looks at all.
ASIDE_PART = 16


class Search:
    """The nodes of a pool for one service: `on_node` counts its active tasks, `faulty` its recent failures by rank.

    `ranking` is what was remembered for this service and pool, if there is anything.
    """

    __slots__ = ("_extra", "faulty", "given", "groups", "most", "on_node", "pool", "ranking", "root", "view")

    def __init__(
        self,
        view: View,
        pool: Pool,
        on_node: Mapping[NodeId, int],
        extra: dict[int, int],
        faulty: dict[int, int],
        ranking: Ranking | None,
    ) -> None:
        self.view = view
        self.pool = pool
        self.on_node = on_node
        #: tasks of the service that this plan placed, by rank
        self._extra = extra
        self.faulty = faulty
        self.most = pool.needs.max_replicas
        #: the generic resources that each of the tasks gets, where any are demanded
        self.given: list[tuple[GenericResource, ...]] = []
        if ranking is None or ranking.pool is not pool or not ranking.follow(view.log, faulty, self.entry):
            ranking = Ranking(pool, faulty, len(view.log))
        self.ranking = ranking
        self.groups = [_Group(self, path) for path in pool.heaps]
        self.root: _Group | _Branch
        if pool.needs.spread:
            self.root = _branch(self.groups, self._counts(), 0)
        else:
            self.root = self.groups[0]

    def take(self, count: int) -> list[int]:
        """Return the ranks of the best nodes for as many tasks, which are there from now on; fewer if none is left."""
        ranks: list[int] = []
        demand = self.pool.needs.demand
        plain = demand is None and not self.most and not self.pool.needs.spread
        while len(ranks) < count:
            if plain and (heap := self.groups[0].ranked) is not None:
                ranks += self._take_ranked(heap, count - len(ranks))
                break
            key = self.root.best()
            if key is None:
                break
            rank = key[-1] & RANK
            self._extra[rank] = self._extra.get(rank, 0) + 1
            self.view.active[rank] += 1
            if demand is not None:
                self.given.append(self.view.take(rank, demand))
            self.root.take()
            ranks.append(rank)
        return ranks

    def _take_ranked(self, heap: list[int], count: int) -> list[int]:
        """Return as many of the best ranks as `take`, where all nodes are one group and nothing can be used up."""
        ranks: list[int] = []
        extra, on_node, faulty, verdicts = self._extra, self.on_node, self.faulty, self.pool.verdicts
        ids, active = self.view.ids, self.view.active
        while heap and len(ranks) < count:
            entry = heap[0]
            rank = entry & RANK
            load, here = active[rank], extra.get(rank, 0)
            now = (on_node.get(ids[rank], 0) + here) << OWN_SHIFT | load << RANK_BITS | rank
            if faulty:
                now |= faulty.get(rank, 0) << FAULTY_SHIFT
            if verdicts[rank]:
                heappop(heap)
            elif entry != now:
                heapreplace(heap, now)
            else:
                heapreplace(heap, entry + ONE)
                extra[rank], active[rank] = here + 1, load + 1
                ranks.append(rank)
        return ranks

    def end(self) -> None:
        """Put back what was set aside."""
        for group in self.groups:
            group.put_back()
        self.ranking.end(self.view.log)

    def own(self, rank: int) -> int:
        """Return how many active tasks of the service a node has."""
        return self.on_node.get(self.view.ids[rank], 0) + self._extra.get(rank, 0)

    def entry(self, rank: int) -> int:
        """Return how good a node is within its group, as a ranking has it."""
        failures = self.faulty.get(rank, 0) << FAULTY_SHIFT
        return failures | self.own(rank) << OWN_SHIFT | self.view.active[rank] << RANK_BITS | rank

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

    __slots__ = ("_aside", "_aside_max", "_free", "_search", "path", "ranked")

    def __init__(self, search: Search, path: Path) -> None:
        self.path = path
        self._search = search
        self._free = search.pool.heaps[path]
        self.ranked = search.ranking.heaps.get(path)
        self._aside: dict[int, None] = {}
        self._aside_max = len(self._free) // ASIDE_PART

    def best(self) -> Key | None:
        """Return how good the best node is; None if none is left."""
        if self.ranked is None:
            key = self._best_free()
            if key is not None:
                return key
            self.put_back()
            self.ranked = self._search.ranking.begin(self.path, self._search.on_node, self._search.view)
        return self._best_ranked(self.ranked)

    def take(self) -> None:
        """Count a task on the best node, which `best` just found, and whose load counts it already."""
        if self.ranked is not None:
            heapreplace(self.ranked, self.ranked[0] + ONE)
        else:
            self._aside[heappop(self._free) & RANK] = None
            self._aside_max += 1

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
        self._aside = {}

    def _best_free(self) -> Key | None:
        search, free, aside = self._search, self._free, self._aside
        pool, view = search.pool, search.view
        active, verdicts, paths, demand = view.active, pool.verdicts, pool.paths, pool.needs.demand
        while free and len(aside) <= self._aside_max:
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
                return (entry,)
        return None

    def _best_ranked(self, heap: list[int]) -> Key | None:
        search = self._search
        pool, view, most = search.pool, search.view, search.most
        verdicts, paths, demand = pool.verdicts, pool.paths, pool.needs.demand
        while heap:
            entry = heap[0]
            rank = entry & RANK
            if verdicts[rank] or (paths and paths[rank] != self.path):
                heappop(heap)
            elif entry != (now := search.entry(rank)):
                heapreplace(heap, now)
            elif (most and search.own(rank) >= most) or (demand is not None and not pool.has_room(view, rank)):
                heappop(heap)
            else:
                return (entry,)
        return None


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
