"""The constraint enforcer: tasks whose node changed so that they may not be there any more are evicted.

As SwarmKit's: a node must fulfil the constraints of the service as it is specified now, and have what its tasks
reserve. A task that the update of its service did not reach yet is the update's: it is evicted only where its own
template does not allow the node either. On a node that is paused or not heard nothing changes; a drained one is emptied
anyway.
"""

from skep.core.commands import EvictTasks
from skep.core.constraints import matches_all
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import Node
from skep.model.service import GenericResource, Reservations, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Given, Task

#: What an evicted task says (recorded in scenario 52).
UNMET = "assigned node no longer meets constraints"

NOTHING = Reservations()
NOT_GIVEN = Given()


def plan_enforcement(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs neither
    """Return which tasks a node may not keep as it is now."""
    node = state.nodes.get(NodeId(key))
    if node is None or not node.schedulable:
        return CONTENT
    inspection = _Inspection(state, node)
    evicted: list[TaskId] = []
    for task in state.tasks_on(node.id):
        placed = task.wanted and TaskState.ASSIGNED <= task.state <= TaskState.RUNNING
        if placed and not inspection.passes(task):
            if len(evicted) == ROWS_MAX:
                return Plan((EvictTasks(tuple(evicted), UNMET),), cause=node.version, more=True)
            evicted.append(task.id)
    return Plan((EvictTasks(tuple(evicted), UNMET),), cause=node.version) if evicted else CONTENT


class _Inspection:
    """A node, and what is left of it for the tasks that were not looked at yet."""

    def __init__(self, state: ClusterState, node: Node) -> None:
        self._state = state
        self._node = node
        described = node.description.resources or NOTHING
        self._cpus = described.nano_cpus
        self._memory = described.memory_bytes
        self._named, self._amounts = _units(described.generic_resources)
        self._allows: dict[tuple[ServiceId, Position], bool] = {}

    def passes(self, task: Task) -> bool:
        """Whether a task may stay; what it reserves is taken then."""
        return self._allowed(task) and self._take(task)

    def _allowed(self, task: Task) -> bool:
        service = self._state.services.get(task.service_id)
        own = task.origin.spec_version
        present = service.spec_version if service is not None else own
        return self._fulfils(task.service_id, present) or (own != present and self._fulfils(task.service_id, own))

    def _fulfils(self, service_id: ServiceId, spec_version: Position) -> bool:
        known = self._allows.get((service_id, spec_version))
        if known is None:
            template = self._state.templates[service_id][spec_version]
            known = self._allows[service_id, spec_version] = matches_all(_constraints(template), self._node)
        return known

    def _take(self, task: Task) -> bool:
        reserved = _reserved(self._state.template_of(task))
        if reserved == NOTHING:
            return True
        named, amounts = _units(self._state.given.get(task.id, NOT_GIVEN).resources)
        if reserved.nano_cpus > self._cpus or reserved.memory_bytes > self._memory:
            return False
        if any(unit not in self._named for unit in named):
            return False
        if any(amount > self._amounts.get(kind, 0) for kind, amount in amounts.items()):
            return False
        self._cpus -= reserved.nano_cpus
        self._memory -= reserved.memory_bytes
        for unit in named:
            del self._named[unit]
        for kind, amount in amounts.items():
            self._amounts[kind] -= amount
        return True


def _constraints(template: TaskTemplate) -> tuple[str, ...]:
    placement = template.spec.placement
    return placement.constraints if placement is not None else ()


def _reserved(template: TaskTemplate) -> Reservations:
    resources = template.spec.resources
    return (resources.reservations if resources is not None else None) or NOTHING


def _units(resources: tuple[GenericResource, ...]) -> tuple[dict[tuple[str, str], None], dict[str, int]]:
    """Return generic resources as named units and as amounts by kind."""
    named: dict[tuple[str, str], None] = {}
    amounts: dict[str, int] = {}
    for resource in resources:
        unit, amount = resource.named_resource_spec, resource.discrete_resource_spec
        if unit is not None:
            named[unit.kind, unit.value] = None
        if amount is not None:
            amounts[amount.kind] = amounts.get(amount.kind, 0) + amount.value
    return named, amounts
