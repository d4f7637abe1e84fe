"""What one plan sees: the state, the ground, and what the plan itself handed out so far."""

from skep.core.holdings import Demand, Holdings, choose_all, has_ports, has_resources
from skep.core.plan.scheduler.ground import Ground
from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.model.node import Node
from skep.model.service import GenericResource


class View:
    """Implements `skep.core.plan.scheduler.pool.Nodes`."""

    __slots__ = ("active", "closed", "ground", "ids", "log", "state", "taken")

    def __init__(self, state: ClusterState, ground: Ground) -> None:
        self.state = state
        self.ground = ground
        self.active, self.closed, self.ids, self.log = ground.active, ground.closed, ground.ids, ground.log
        #: what is held on nodes of which this plan took something, that included
        self.taken: dict[int, Holdings] = {}

    def node(self, rank: int) -> Node:
        """Return a node that is not gone."""
        return self.state.nodes[self.ids[rank]]

    def has_resources(self, rank: int, demand: Demand) -> bool:
        """Whether a node has the resources left that are demanded."""
        return has_resources(self.node(rank).description, self._held(rank), demand)

    def has_ports(self, rank: int, demand: Demand) -> bool:
        """Whether a node has the ports left that are demanded."""
        return has_ports(self._held(rank), demand)

    def take(self, rank: int, demand: Demand) -> tuple[GenericResource, ...]:
        """Take what is demanded of a node; return the generic resources."""
        held = self._held(rank)
        resources = choose_all(self.node(rank).description, held, demand)
        if rank not in self.taken:
            self.taken[rank] = held.copy() if held is not None else Holdings()
        self.taken[rank].count(demand, resources, 1)
        self.log.append(rank)
        return resources

    def _held(self, rank: int) -> Holdings | None:
        held = self.taken.get(rank)
        if held is None:
            index = self.state.node_tasks.get(NodeId(self.ids[rank]))
            held = index.held if index is not None else None
        return held
