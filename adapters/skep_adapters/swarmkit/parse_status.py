"""What a worker observed of its tasks."""

from collections.abc import Iterable

from skep.model.ids import TaskId
from skep.model.service import PortConfig
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, TaskStatus
from skep.ports.link import TaskReport

from skep_adapters.swarmkit.instants import instant_of
from skep_adapters.swarmkit.unreadable import ID_MAX, Unreadable, check_id
from skep_adapters.swarmkit.wire import dispatcher_pb2, types_pb2

#: Of a message or an error so many characters are kept, as the dispatcher keeps of any agent's.
WORDS_MAX = 4096

#: More than a container can usefully publish, on both families of addresses.
PORTS_MAX = 4096

PORT_MAX = 65_535

#: States that a worker may see its tasks in; the others are a manager's to say.
OBSERVABLE = frozenset(
    state for state in TaskState if state >= TaskState.ASSIGNED and state not in (TaskState.REMOVE, TaskState.ORPHANED)
)


def parse_report(update: dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate) -> TaskReport:
    """Return one report.

    Raises:
        Unreadable: it names no task, or its status is not a worker's to say.
    """
    task_id = check_id(update.task_id, "updates.task_id")
    if not task_id:
        raise Unreadable("updates.task_id is missing")
    return TaskReport(TaskId(task_id), parse_status(update.status))


def parse_status(status: types_pb2.TaskStatus) -> TaskStatus:
    """Return a status; words are cut, and ports that are none left out.

    Raises:
        Unreadable: its state is not a worker's to say, or there are too many ports.
    """
    number = int(status.state)
    if number not in OBSERVABLE:
        raise Unreadable(f"status.state {number} is not a worker's to report")
    return TaskStatus(
        TaskState(number),
        instant_of(status.timestamp),
        status.message[:WORDS_MAX],
        status.err[:WORDS_MAX],
        _container(status.container) if status.HasField("container") else None,
        _ports(status.port_status.ports),
    )


def _container(container: types_pb2.ContainerStatus) -> ContainerStatus:
    return ContainerStatus(container.container_id[:ID_MAX], container.pid, container.exit_code)


def _ports(ports: Iterable[types_pb2.PortConfig]) -> tuple[PortConfig, ...]:
    """Return ports as they are said: dockerd names one for IPv4 and again for IPv6, and Swarm shows both (recorded)."""
    found: list[PortConfig] = []
    for position, port in enumerate(ports):
        if position >= PORTS_MAX:
            raise Unreadable(f"status.port_status has more than {PORTS_MAX} ports")
        parsed = _port(port)
        if parsed is not None:
            found.append(parsed)
    return tuple(found)


def _port(port: types_pb2.PortConfig) -> PortConfig | None:
    protocols, modes = types_pb2.PortConfig.Protocol, types_pb2.PortConfig.PublishMode
    known = port.protocol in protocols.values() and port.publish_mode in modes.values()
    if not known or port.target_port > PORT_MAX or port.published_port > PORT_MAX:
        return None
    return PortConfig(
        name=port.name[:ID_MAX],
        protocol=protocols.Name(port.protocol).lower(),
        target_port=port.target_port,
        published_port=port.published_port,
        publish_mode=modes.Name(port.publish_mode).lower(),
    )
