"""The state of a cluster: tables of frozen objects, and indexes over them.

- Only `skep.core.fold` changes it. Readers must not.
- A table is a dict by id, in order of creation.
- What is not derived from the tables is listed in `skep.core.codec.Snapshot`; all else is rebuilt.
"""

from collections.abc import Iterable, Iterator

from skep.core.indexes import NodeTasks, Ordered, ServiceTasks, Touched
from skep.model.ids import EPOCH, START, ConfigId, Instant, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.node import Node
from skep.model.secret import Config, Secret
from skep.model.service import Service, TaskTemplate
from skep.model.swarm import Cluster
from skep.model.task import Task

#: Docker's default number of tasks kept in a slot, the current one included.
HISTORY_LIMIT = 5

#: What a negative limit means: nothing is ever forgotten.
ALL_HISTORY = 1 << 62

#: The first port that is given where none was asked for (recorded in scenario 25).
FIRST_DYNAMIC_PORT = 30_000
LAST_DYNAMIC_PORT = 32_767

#: So many command ids are remembered, so that a command sent twice counts once.
RECENT_MAX = 4096


class ClusterState:
    """All that a log says, folded up to `position`, whose record bears `time`."""

    __slots__ = (
        "cluster",
        "config_names",
        "config_users",
        "configs",
        "given_up",
        "left",
        "next_port",
        "node_tasks",
        "nodes",
        "pending",
        "ports",
        "position",
        "recent",
        "secret_names",
        "secret_users",
        "secrets",
        "service_names",
        "service_tasks",
        "services",
        "tasks",
        "templates",
        "time",
        "touched",
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
        #: slots whose last task ended for good
        self.given_up: dict[ServiceId, dict[int, TaskId]] = {}
        #: the dynamic port to try next
        self.next_port = FIRST_DYNAMIC_PORT
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
        #: published ports in ingress mode: (protocol, port) -> service
        self.ports: dict[tuple[str, int], ServiceId] = {}
        #: services with tasks that wait for a node
        self.pending: Ordered[ServiceId] = {}
        self.touched = Touched()

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
        twin.touched = Touched()
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

    def tasks_in(self, service_id: ServiceId, slot: int) -> Iterator[Task]:
        """Yield the tasks of a slot, oldest first."""
        index = self.service_tasks.get(service_id)
        return self._tasks(index.slots.get(slot, ()) if index else ())

    def _tasks(self, ids: Iterable[TaskId]) -> Iterator[Task]:
        tasks = self.tasks
        return (tasks[i] for i in ids)


_NESTED = frozenset({"service_tasks", "node_tasks", "templates", "given_up", "secret_users", "config_users"})


def _copied(value: object) -> object:
    if isinstance(value, ServiceTasks | NodeTasks):
        return value.copy()
    return dict(value) if isinstance(value, dict) else value
