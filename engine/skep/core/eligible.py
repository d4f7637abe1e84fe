"""Which nodes a service wants a task on that runs one on each of them."""

from skep.core.constraints import Constraint, matches, parse_all
from skep.model.node import Node
from skep.model.service import Placement, Service

ANYWHERE = Placement()


class Eligibility:
    """What a service demands of the nodes that it has a task on: its present constraints, read once."""

    def __init__(self, service: Service) -> None:
        placement = service.spec.template.placement or ANYWHERE
        self._constraints: tuple[Constraint, ...] = parse_all(placement.constraints)

    def allows(self, node: Node) -> bool:
        """Whether a task that is on `node` may stay there, as far as its service is concerned."""
        return all(matches(constraint, node) for constraint in self._constraints)

    def wants(self, node: Node) -> bool:
        """Whether a new task is to be made on `node`: an active member that is heard, and fulfils the constraints."""
        return node.schedulable and self.allows(node)
