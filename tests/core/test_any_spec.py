"""Whatever people and agents say is taken or refused in words: no decision and no plan fails of it."""

from contextlib import suppress

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.commands import (
    CreateNetwork,
    CreateService,
    DescribeNode,
    RemoveNetwork,
    RollbackService,
    UpdateNode,
    UpdateService,
)
from skep.core.rejected import Rejected
from skep.model.container import ContainerSpec
from skep.model.ids import START, NetworkId, NodeId, Position, ServiceId
from skep.model.network import NetworkSpec
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import ReplicatedJobMode, ReplicatedMode, ServiceMode, ServiceSpec, TaskSpec
from skep.testing.core_swarm import CoreSwarm

from tests.tidy.strategies import examples

ONE, WEB, NET = NodeId("node-1"), ServiceId("web"), NetworkId("net")


def plausible(spec: ServiceSpec) -> ServiceSpec:
    """Return a spec that is not refused for its name or image, and asks for few tasks."""
    task = spec.task_template or TaskSpec()
    mode = spec.mode or ServiceMode()
    if mode.replicated is not None:
        mode = replace(mode, replicated=ReplicatedMode(3))
    if mode.replicated_job is not None:
        mode = replace(mode, replicated_job=ReplicatedJobMode(2, 3))
    container = replace(task.container_spec or ContainerSpec(), image="demo")
    return replace(spec, name="web", mode=mode, task_template=replace(task, container_spec=container, runtime=""))


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
@given(
    specs=st.tuples(*(examples(ServiceSpec).map(plausible),) * 2),
    network=examples(NetworkSpec),
    described=examples(NodeDescription),
    node=examples(NodeSpec),
    order=st.permutations(range(6)),
)
def test_whatever_is_said_no_plan_fails(
    specs: tuple[ServiceSpec, ServiceSpec],
    network: NetworkSpec,
    described: NodeDescription,
    node: NodeSpec,
    order: list[int],
) -> None:
    swarm = CoreSwarm(nodes=2, ingress=True)

    def version() -> Position:
        service = swarm.state.services.get(WEB)
        return service.version if service is not None else START

    steps = (
        lambda: CreateNetwork(NET, replace(network, name="net")),
        lambda: DescribeNode(ONE, described, "1.2.3.4"),
        lambda: CreateService(WEB, specs[0]),
        lambda: UpdateNode(ONE, swarm.state.nodes[ONE].version, node),
        lambda: UpdateService(WEB, version(), specs[1]),
        lambda: RollbackService(WEB, version()),
        lambda: RemoveNetwork(NET),
    )
    for number in (2, *order, 6):
        with suppress(Rejected):
            swarm.submit(steps[number]())
        swarm.quiet()
    swarm.advance(30)
    swarm.check()
