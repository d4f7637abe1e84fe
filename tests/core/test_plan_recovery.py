"""What is planned follows from the tables alone, not from how the state was recovered or when it was looked at."""

import skep
from msgspec.structs import replace
from skep.core.codec import decode_state, encode_state
from skep.core.commands import StartEngine, UpdateNode
from skep.core.events import NodeUpdated
from skep.core.plan import PLANS, every_key
from skep.model.ids import NodeId, Position
from skep.model.node import NodeSpec
from skep.model.service import Placement
from skep.model.states import Availability, Role, TaskState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.given import given
from skep.testing.sources import NumberedIds


def crowded() -> CoreSwarm:
    """A swarm whose tasks entered their indexes in another order than they were made."""
    swarm = CoreSwarm(nodes=3)
    spec = skep.service_spec("web", "demo", replicas=6)
    placement = Placement(constraints=("node.labels.disk == ssd",))
    web = swarm.create(replace(spec, task_template=replace(spec.template, placement=placement)))
    other = swarm.create(skep.service_spec("other", "demo", replicas=6))
    swarm.quiet()
    for task in reversed(swarm.tasks(other)):
        swarm.report(task, TaskState.FAILED)
    swarm.advance(20)
    swarm.update(web, skep.service_spec("web", "demo", replicas=6))
    return swarm


def test_after_a_start_a_recovered_state_plans_as_the_one_that_lived() -> None:
    lived = crowded()
    recovered = CoreSwarm(state=decode_state(encode_state(lived.state)))
    for swarm in (lived, recovered):
        swarm.now = lived.now
        swarm.ids = NumberedIds("next")
        swarm.submit(StartEngine("next"))
    for name, key in every_key(lived.state):
        plans = [PLANS[name](swarm.state, key, lived.now, NumberedIds("probe")) for swarm in (lived, recovered)]
        assert plans[0] == plans[1], f"{name}({key})"


def test_making_a_plan_changes_nothing() -> None:
    swarm = crowded()
    before = encode_state(swarm.state)
    for name, key in every_key(swarm.state):
        one = PLANS[name](swarm.state, key, swarm.now, NumberedIds("probe"))
        assert one == PLANS[name](swarm.state, key, swarm.now, NumberedIds("probe"))
    assert encode_state(swarm.state) == before


def test_a_drained_node_keeps_no_running_task_as_values() -> None:
    swarm = CoreSwarm(nodes=2)
    swarm.create(skep.service_spec("web", "demo", replicas=2))
    swarm.quiet()
    node = swarm.state.nodes[NodeId("node-1")]
    drained = NodeSpec(labels={}, role=Role.WORKER, availability=Availability.DRAIN)
    story = given(*swarm.events())
    drain = UpdateNode(node.id, story.state.nodes[node.id].version, drained)
    story.when(drain).then(NodeUpdated(node.id, drained))
    story.when(drain).settles(lambda state: not state.node_tasks[node.id].active)
    story.when(replace(drain, version=Position(1))).rejects("update out of sequence")
