"""Global services as tests of their plans begin them, and where their tasks are."""

import pytest
from msgspec.structs import replace
from skep.core.commands import UpdateNode
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, ServiceId
from skep.model.service import Placement, Reservations, ResourceRequirements, RestartPolicy, ServiceSpec
from skep.model.states import Mode
from skep.model.task import Task
from skep.testing.core_swarm import CoreSwarm

ZONE_A = Placement(constraints=("node.labels.zone==a",))


def everywhere(
    mode: Mode = Mode.GLOBAL,
    *,
    image: str = "demo",
    placement: Placement | None = None,
    restart: RestartPolicy | None = None,
) -> ServiceSpec:
    spec = service_spec("agent", image, mode=mode, restart=restart)
    return replace(spec, task_template=replace(spec.template, placement=placement))


def begun(spec: ServiceSpec, *, nodes: int = 3) -> tuple[CoreSwarm, ServiceId]:
    """Begin a service whose tasks run until they are said to end."""
    swarm = CoreSwarm(nodes=nodes)
    swarm.lasting["demo"] = None
    agent = swarm.create(spec)
    swarm.quiet()
    return swarm, agent


def nodes_of(swarm: CoreSwarm, agent: ServiceId) -> list[str]:
    """Return where tasks are wanted, in order."""
    return sorted(task.node_id for task in swarm.tasks(agent, wanted=True) if not task.state.terminal)


def on(swarm: CoreSwarm, agent: ServiceId, node_id: str) -> Task:
    """Return the newest task of a node."""
    return [task for task in swarm.tasks(agent) if task.node_id == node_id][-1]


def label(swarm: CoreSwarm, node_id: str, **labels: str) -> None:
    node = swarm.state.nodes[NodeId(node_id)]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels=labels)))


def large(spec: ServiceSpec) -> ServiceSpec:
    """Return `spec` with tasks that want more of a node than it has."""
    reservations = ResourceRequirements(reservations=Reservations(nano_cpus=NANOSECONDS))
    return replace(spec, task_template=replace(spec.template, resources=reservations))


BOTH = pytest.mark.parametrize("mode", [Mode.GLOBAL, Mode.GLOBAL_JOB])
