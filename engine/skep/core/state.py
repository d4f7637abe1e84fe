"""The state of a cluster: tables of frozen objects, and indexes over them.

- Only `skep.core.fold` changes it. Readers must not.
- A table is a dict by id, in order of creation.
- What is not derived from the tables is listed in `skep.core.codec.Snapshot`; all else is rebuilt.
"""

from collections.abc import Iterable, Iterator

from skep.core.failures import Failures
from skep.core.indexes import NodeTasks, Ordered, ServiceTasks, Shifts, Touched
from skep.core.progress import Rebalance, UpdateProgress
from skep.model.attachment import Attachment
from skep.model.ids import (
    EPOCH,
    START,
    ConfigId,
    Instant,
    NetworkId,
    NodeId,
    Position,
    Seat,
    SecretId,
    ServiceId,
    TaskId,
)
from skep.model.network import Network
from skep.model.node import Node
from skep.model.secret import Config, Secret
from skep.model.service import Outcome, Service, TaskTemplate
from skep.model.swarm import Cluster
from skep.model.task import Given, Task

#: Docker's default number of tasks kept in a slot, the current one included.
HISTORY_LIMIT = 5

#: What a negative limit means: nothing is ever forgotten.
ALL_HISTORY = 1 << 62

#: The first port that is given where none was asked for (recorded in scenario 25).
FIRST_DYNAMIC_PORT = 30_000
LAST_DYNAMIC_PORT = 32_767

#: The first VXLAN id that is given (recorded in scenario 16), and the last that there is.
FIRST_VNI = 4096
LAST_VNI = (1 << 24) - 1

#: So many command ids are remembered, so that a command sent twice counts once.
RECENT_MAX = 4096


class ClusterState:
    """All that a log says, folded up to `position`, whose record bears `time`."""

    __slots__ = (
        "addresses",
        "attachments",
        "capacities",
        "closed",
        "cluster",
        "config_names",
        "config_users",
        "configs",
        "cursors",
        "departed",
        "detached",
        "failures",
        "given",
        "given_up",
        "host_ports",
        "ingress_id",
        "left",
        "network_attachments",
        "network_names",
        "network_users",
        "networks",
        "next_port",
        "next_subnet",
        "next_vni",
        "node_attachments",
        "node_networks",
        "node_services",
        "node_tasks",
        "nodes",
        "outcomes",
        "pending",
        "ports",
        "position",
        "rebalances",
        "recent",
        "restarts",
        "secret_names",
        "secret_users",
        "secrets",
        "service_names",
        "service_tasks",
        "services",
        "shifts",
        "spec_positions",
        "stack_positions",
        "tasks",
        "templates",
        "time",
        "touched",
        "unallocated",
        "updates",
    )

    def __init__(self) -> None:
        self.position: Position = START
        self.time: Instant = EPOCH
        # tables
        self.cluster: Cluster | None = None
        self.left = False
        self.nodes: dict[NodeId, Node] = {}
        self.services: dict[ServiceId, Service] = {}
        self.tasks: dict[TaskId, Task] = {}
        self.secrets: dict[SecretId, Secret] = {}
        self.configs: dict[ConfigId, Config] = {}
        #: what tasks run, by the position that set it; kept until the last task that names it is reaped
        self.templates: dict[ServiceId, dict[Position, TaskTemplate]] = {}
        self.networks: dict[NetworkId, Network] = {}
        #: containers that people run on networks of the swarm
        self.attachments: dict[TaskId, Attachment] = {}
        #: what tasks were given, of the few that were
        self.given: dict[TaskId, Given] = {}
        #: seats whose last task ended for good
        self.given_up: dict[ServiceId, dict[Seat, TaskId]] = {}
        #: when the tasks of a seat were restarted, where the restart policy has a window
        self.restarts: dict[ServiceId, dict[Seat, tuple[Instant, ...]]] = {}
        #: updates and rollbacks that go on, how the last ones ended, and spreadings anew that go on
        self.updates: dict[ServiceId, UpdateProgress] = {}
        self.outcomes: dict[ServiceId, tuple[Outcome, ...]] = {}
        self.rebalances: dict[ServiceId, Rebalance] = {}
        #: where tasks of a service failed lately
        self.failures: dict[ServiceId, Failures] = {}
        #: labels of services that were removed, by which their tasks are found until the last is reaped
        self.departed: dict[ServiceId, dict[str, str]] = {}
        #: where each spec of a service was set, oldest first
        self.spec_positions: dict[ServiceId, list[Position]] = {}
        #: where something of each stack changed, oldest first: see `skep.core.stack_index`
        self.stack_positions: dict[str, list[Position]] = {}
        #: what to try next: the dynamic port, the VXLAN id, the subnet by its place in the swarm's pools, and on each
        #: network the address by its offset in the network's ranges
        self.next_port = FIRST_DYNAMIC_PORT
        self.next_vni = FIRST_VNI
        self.next_subnet = 0
        self.cursors: dict[NetworkId, int] = {}
        #: ids of recent commands, oldest first, with the position that they led to
        self.recent: dict[str, Position] = {}
        # indexes
        self.service_tasks: dict[ServiceId, ServiceTasks] = {}
        self.node_tasks: dict[NodeId, NodeTasks] = {}
        self.service_names: dict[str, ServiceId] = {}
        self.secret_names: dict[str, SecretId] = {}
        self.config_names: dict[str, ConfigId] = {}
        self.secret_users: dict[SecretId, Ordered[ServiceId]] = {}
        self.config_users: dict[ConfigId, Ordered[ServiceId]] = {}
        self.network_names: dict[str, NetworkId] = {}
        self.network_users: dict[NetworkId, Ordered[ServiceId]] = {}
        #: attachments to each network, and those of each node's containers
        self.network_attachments: dict[NetworkId, Ordered[TaskId]] = {}
        self.node_attachments: dict[NodeId, Ordered[TaskId]] = {}
        #: addresses in use on each network, as numbers, with what has them: a service, a task, an attachment or a node
        self.addresses: dict[NetworkId, dict[int, str]] = {}
        #: how many addresses each network has to give, where it has any
        self.capacities: dict[NetworkId, int] = {}
        #: the network of published ports; empty if there is none
        self.ingress_id = NetworkId("")
        #: networks of the tasks and attachments on each node, with how many that live are on each
        self.node_networks: dict[NodeId, dict[NetworkId, int]] = {}
        #: services that wait for the allocator, and nodes that do: see `skep.core.address_index`
        self.unallocated: Ordered[ServiceId] = {}
        self.detached: Ordered[NodeId] = {}
        #: nodes that take no new tasks
        self.closed: Ordered[NodeId] = {}
        #: services that want a task on each node
        self.node_services: Ordered[ServiceId] = {}
        #: published ports in ingress mode: (protocol, port) -> service; and services that publish one on their hosts
        self.ports: dict[tuple[str, int], ServiceId] = {}
        self.host_ports: dict[tuple[str, int], Ordered[ServiceId]] = {}
        #: services with tasks that wait for a node
        self.pending: Ordered[ServiceId] = {}
        self.touched, self.shifts = Touched(), Shifts()

    def take_touched(self) -> Touched:
        """Return what changed since the last call, and forget it."""
        touched, self.touched = self.touched, Touched()
        return touched

    def copy(self) -> "ClusterState":
        """Return an independent state that shares the frozen objects. Costs a shallow copy of every table."""
        twin = ClusterState()
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = {k: _copied(v) for k, v in value.items()} if name in _NESTED else dict(value)
            setattr(twin, name, value)
        twin.touched, twin.shifts = Touched(), Shifts()
        return twin

    # --- questions that more than one part asks

    @property
    def history_limit(self) -> int:
        """How many tasks of a slot are kept, the current one included: at least 1; less than 0 keeps all."""
        if self.cluster is None or self.cluster.spec.orchestration is None:
            return HISTORY_LIMIT
        limit = self.cluster.spec.orchestration.task_history_retention_limit
        if limit is None:
            return HISTORY_LIMIT
        return max(1, limit) if limit >= 0 else ALL_HISTORY

    def template_of(self, task: Task) -> TaskTemplate:
        """Return what `task` runs."""
        return self.templates[task.service_id][task.origin.spec_version]

    def tasks_of(self, service_id: ServiceId) -> Iterator[Task]:
        """Yield the tasks of a service, oldest first."""
        index = self.service_tasks.get(service_id)
        return self._tasks(index.all if index else ())

    def tasks_on(self, node_id: NodeId) -> Iterator[Task]:
        """Yield the tasks that a node was assigned and that are not forgotten."""
        index = self.node_tasks.get(node_id)
        return self._tasks(index.all if index else ())

    def tasks_in(self, service_id: ServiceId, seat: Seat) -> Iterator[Task]:
        """Yield the tasks of a seat, oldest first."""
        index = self.service_tasks.get(service_id)
        return self._tasks(index.seats.get(seat, ()) if index else ())

    def _tasks(self, ids: Iterable[TaskId]) -> Iterator[Task]:
        tasks = self.tasks
        return (tasks[i] for i in ids)


_NESTED = frozenset(
    {
        "service_tasks",
        "node_tasks",
        "templates",
        "given_up",
        "restarts",
        "updates",
        "rebalances",
        "spec_positions",
        "stack_positions",
    }
    | {"failures", "host_ports", "secret_users", "config_users", "network_users", "addresses", "node_networks"}
    | {"network_attachments", "node_attachments"}
)


def _copied(value: object) -> object:
    if isinstance(value, ServiceTasks | NodeTasks | UpdateProgress | Rebalance | Failures):
        return value.copy()
    return value.copy() if isinstance(value, dict | list) else value
