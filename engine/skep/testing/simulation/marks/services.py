"""Marks of services, the swarm, and what they share."""

from skep.core.events import (
    EngineStarted,
    NetworkAllocated,
    NetworkRemoved,
    SecretRemoved,
    ServiceAllocated,
    ServiceRemoved,
    SwarmUpdated,
)
from skep.core.state import FIRST_DYNAMIC_PORT
from skep.model.states import TaskState
from skep.testing.simulation.marks.scene import Scene, seen


@seen("service-removed-while-running", ServiceRemoved)
def _(scene: Scene, event: ServiceRemoved) -> bool:
    return any(task.state is TaskState.RUNNING for task in scene.state.tasks_of(event.service_id))


@seen("dynamic-port-given", ServiceAllocated)
def _(_: Scene, event: ServiceAllocated) -> bool:
    return any(port.published_port >= FIRST_DYNAMIC_PORT for port in event.endpoint.ports)


@seen("secret-removed", SecretRemoved)
def _(_: Scene, __: SecretRemoved) -> bool:
    return True


@seen("swarm-updated", SwarmUpdated)
def _(_: Scene, __: SwarmUpdated) -> bool:
    return True


@seen("engine-started-over-tasks", EngineStarted)
def _(scene: Scene, _: EngineStarted) -> bool:
    return bool(scene.state.tasks)


# --- networks


@seen("subnet-waited-for", NetworkAllocated)
def _(scene: Scene, event: NetworkAllocated) -> bool:
    network = scene.state.networks.get(event.network_id)
    return network is not None and network.updated_at > network.created_at


@seen("network-removed", NetworkRemoved)
def _(_: Scene, __: NetworkRemoved) -> bool:
    return True
