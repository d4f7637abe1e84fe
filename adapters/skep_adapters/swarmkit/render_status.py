"""What was last observed of a task, told to its node again."""

from skep.model.states import MESSAGES
from skep.model.task import TaskStatus

from skep_adapters.swarmkit.instants import timestamp
from skep_adapters.swarmkit.numbers import int32
from skep_adapters.swarmkit.render_endpoint import render_ports
from skep_adapters.swarmkit.wire import types_pb2


def render_status(status: TaskStatus) -> types_pb2.TaskStatus:
    """Return a status as it was stored; an agent that lost its memory goes on from it."""
    container = status.container
    return types_pb2.TaskStatus(
        timestamp=timestamp(status.at),
        state=status.state.name,
        message=status.message or MESSAGES.get(status.state, ""),
        err=status.err,
        container=(
            types_pb2.ContainerStatus(
                container_id=container.container_id, pid=int32(container.pid), exit_code=int32(container.exit_code)
            )
            if container is not None
            else None
        ),
        port_status=types_pb2.PortStatus(ports=render_ports(status.ports)) if status.ports else None,
    )
