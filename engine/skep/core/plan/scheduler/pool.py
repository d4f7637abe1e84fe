"""A pool: the nodes that fit the tasks of one class, the least loaded first.

A heap holds an entry for each node that fits: (active tasks, rank) as one number. An entry may be too low, since nodes
get tasks of other classes; it is put right when it comes to the top. It is never too high: when the load of a node
sinks, another entry for it is pushed, and the old one is put right in its turn. Entries of nodes that fit no more are
dropped at the top. A pool in which too many were pushed is built anew.
"""

from collections.abc import Sequence
from heapq import heapify, heappush
from typing import Protocol

from skep.core.holdings import Demand
from skep.core.needs import Needs
from skep.core.plan.scheduler.filters import Verdict, label_value, static_tests
from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.model.node import Node

#: An entry is the load above so many bits, and the rank in them.
RANK_BITS = 24
RANK = (1 << RANK_BITS) - 1

#: The values of the labels to spread over, of one node.
Path = tuple[str, ...]

NO_PATH: Path = ()


class Nodes(Protocol):
    """What a pool asks of the nodes, which it names by rank."""

    @property
    def state(self) -> ClusterState:
        """The state that they are of."""

    @property
    def ids(self) -> Sequence[NodeId]:
        """The id of each."""

    @property
    def active(self) -> Sequence[int]:
        """How many active tasks each has."""

    @property
    def closed(self) -> Sequence[int]:
        """The verdict on each, whatever the task."""

    @property
    def log(self) -> Sequence[int]:
        """What changed; see `skep.core.plan.scheduler.ground`."""

    def node(self, rank: int) -> Node:
        """Return a node that is not gone."""

    def has_resources(self, rank: int, demand: Demand) -> bool:
        """Whether a node has the resources left that are demanded."""

    def has_ports(self, rank: int, demand: Demand) -> bool:
        """Whether a node has the ports left that are demanded."""


class Pool:
    """The nodes as one class sees them.

    `counts[verdict]` says of how many nodes that is the verdict; `heaps` are by path, and `paths[rank]` that of each
    node, where the class spreads over labels.
    """

    __slots__ = ("_pushed", "_tests", "counts", "heaps", "needs", "paths", "read", "verdicts")

    def __init__(self, needs: Needs, nodes: Nodes) -> None:
        self.needs = needs
        self._tests = static_tests(needs)
        self._build(nodes)

    def _build(self, nodes: Nodes) -> None:
        closed, active = nodes.closed, nodes.active
        self.verdicts = self._judge_all(nodes)
        self.counts = [self.verdicts.count(verdict) for verdict in Verdict]
        self.paths: list[Path] = []
        self.heaps: dict[Path, list[int]] = {}
        if self.needs.spread:
            for rank, verdict in enumerate(self.verdicts):
                path = self._path(nodes, rank) if closed[rank] != Verdict.GONE else NO_PATH
                self.paths.append(path)
                if not verdict:
                    self.heaps.setdefault(path, []).append(active[rank] << RANK_BITS | rank)
            for heap in self.heaps.values():
                heapify(heap)
        else:
            verdicts = self.verdicts
            heap = [load << RANK_BITS | rank for rank, load in enumerate(active) if not verdicts[rank]]
            heapify(heap)
            self.heaps[NO_PATH] = heap
        #: how much of the log it knows
        self.read, self._pushed = len(nodes.log), 0

    def _judge_all(self, nodes: Nodes) -> bytearray:
        closed, tests = nodes.closed, self._tests
        if self.needs.demand is None and not tests:
            return bytearray(closed)
        if self.needs.demand is None and len(tests) == 1 and len(closed) == len(nodes.state.nodes):
            # nobody is gone, so that ranks are places in the table
            verdict, test = tests[0]
            said = zip(closed, nodes.state.nodes.values(), strict=True)
            return bytearray([shut or (0 if test(node) else verdict) for shut, node in said])
        return bytearray([shut or self._judge(nodes, rank) for rank, shut in enumerate(closed)])

    def _judge(self, nodes: Nodes, rank: int) -> int:
        """Return the verdict on a node that is open."""
        demand = self.needs.demand
        if demand is not None and demand.reserves and not nodes.has_resources(rank, demand):
            return Verdict.RESOURCES
        if self._tests:
            node = nodes.node(rank)
            for verdict, test in self._tests:
                if not test(node):
                    return verdict
        if demand is not None and demand.ports and not nodes.has_ports(rank, demand):
            return Verdict.PORTS
        return Verdict.FITS

    def follow(self, nodes: Nodes) -> None:
        """Take in what changed since the last time."""
        log, known = nodes.log, len(self.verdicts)
        if self.read == len(log) and known == len(nodes.closed):
            return
        if len(log) - self.read + self._pushed > known + 1000:
            self._build(nodes)
            return
        changed = log[self.read :]
        self.read = len(log)
        for rank in changed:
            while rank >= len(self.verdicts):
                self.verdicts.append(Verdict.GONE)
                self.counts[Verdict.GONE] += 1
                if self.needs.spread:
                    self.paths.append(NO_PATH)
            self.judge(nodes, rank)

    def judge(self, nodes: Nodes, rank: int) -> None:
        """Look again at one node, which may have less load than it had."""
        verdict = nodes.closed[rank] or self._judge(nodes, rank)
        was = self.verdicts[rank]
        if verdict != was:
            self.verdicts[rank] = verdict
            self.counts[was] -= 1
            self.counts[verdict] += 1
        path = NO_PATH
        if self.needs.spread and verdict != Verdict.GONE:
            path = self.paths[rank] = self._path(nodes, rank)
        if verdict == Verdict.FITS:
            heappush(self.heaps.setdefault(path, []), nodes.active[rank] << RANK_BITS | rank)
            self._pushed += 1

    def refuse(self, rank: int, verdict: Verdict) -> None:
        """Note that a node fits no more."""
        self.verdicts[rank] = verdict
        self.counts[Verdict.FITS] -= 1
        self.counts[verdict] += 1

    def has_room(self, nodes: Nodes, rank: int) -> bool:
        """Whether a node that fitted has still what is demanded; if not, it fits no more."""
        demand = self.needs.demand
        if demand is None:
            return True
        if demand.reserves and not nodes.has_resources(rank, demand):
            self.refuse(rank, Verdict.RESOURCES)
            return False
        if demand.ports and not nodes.has_ports(rank, demand):
            self.refuse(rank, Verdict.PORTS)
            return False
        return True

    def _path(self, nodes: Nodes, rank: int) -> Path:
        node = nodes.node(rank)
        return tuple(label_value(node, label) for label in self.needs.spread)
