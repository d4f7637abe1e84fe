"""At which ports a task is to be reached, by its spec and by what its service was given."""

from collections.abc import Iterator, Sequence

from skep.model.service import PortConfig
from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedTask

from skep_adapters.mesh.entrances import Wanted

_PROTOCOLS = ("tcp", "udp")


def wanted_ports(
    task: AssignedTask, *, everywhere: Sequence[str], node: Sequence[str]
) -> Iterator[tuple[PortConfig, Wanted]]:
    """Yield each published port of `task` and what is wanted for it, at the addresses of all nodes, or of its own.

    Raises:
        TaskRejected: a port is of a protocol that nothing here can pass on.
    """
    given = task.endpoint.ports if task.endpoint is not None else ()
    for port in given:
        if port.publish_mode != "host" and port.published_port:
            yield port, _wanted(port, task.service_id, everywhere, of_node=False)
    for port in task.template.ports:
        if port.publish_mode == "host":
            yield port, _wanted(port, task.id, node, of_node=True)


def _wanted(port: PortConfig, owner: str, addrs: Sequence[str], *, of_node: bool) -> Wanted:
    protocol = port.protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise TaskRejected(
            f"published port {port.published_port}/{protocol}: such tasks are reached over TCP and UDP only"
        )
    return Wanted(owner, protocol, tuple(addrs), port.published_port, port.target_port, of_node)
