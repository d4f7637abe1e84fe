"""What becomes of the seat of a global service on a node when its task fails, or its spec changes."""

import pytest
from skep.core.commands import ObserveNodes
from skep.core.tally import Tally, tally
from skep.model.ids import NodeId
from skep.model.service import RestartPolicy
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.beginning import join_nodes

from tests.core.global_services import begun, everywhere, nodes_of, on

# --- failures


def test_a_task_that_failed_is_followed_on_its_node_after_the_delay() -> None:
    swarm, agent = begun(everywhere())
    failed = on(swarm, agent, "node-2")
    swarm.report(failed, TaskState.FAILED)
    swarm.quiet()
    following = on(swarm, agent, "node-2")
    assert (following.desired, following.state, following.origin.replaces) == (
        TaskState.READY,
        TaskState.READY,
        failed.id,
    )
    swarm.advance(5)
    assert on(swarm, agent, "node-2").state is TaskState.RUNNING
    swarm.check()


def test_a_task_that_failed_on_a_paused_node_is_followed_when_it_is_active() -> None:
    swarm, agent = begun(everywhere())
    swarm.avail("node-2", Availability.PAUSE)
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


def test_a_task_that_failed_as_its_node_was_drained_is_followed_when_it_is_active() -> None:
    swarm, agent = begun(everywhere())
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.avail("node-2", Availability.DRAIN)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


@pytest.mark.parametrize("state", [TaskState.COMPLETE, TaskState.FAILED])
def test_a_seat_whose_policy_says_so_gives_up_and_is_wanted_no_more(state: TaskState) -> None:
    swarm, agent = begun(everywhere(restart=RestartPolicy(condition="none")))
    swarm.report(on(swarm, agent, "node-2"), state)
    swarm.advance(30)
    swarm.avail("node-2", Availability.PAUSE)
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    assert tally(swarm.state, swarm.service(agent)) == Tally(2, 2)
    swarm.check()


def test_attempts_are_counted_for_each_node() -> None:
    swarm, agent = begun(everywhere(restart=RestartPolicy(delay=0, max_attempts=1)))
    for _ in range(2):
        swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
        swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.report(on(swarm, agent, "node-3"), TaskState.FAILED)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.check()


def test_an_update_tries_the_seats_again_that_gave_up() -> None:
    swarm, agent = begun(everywhere(restart=RestartPolicy(condition="none")))
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.quiet()
    swarm.update(agent, everywhere(image="better", restart=RestartPolicy(condition="none")))
    swarm.advance(60)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    assert swarm.running(agent) == 3
    swarm.check()


# --- updates


def test_an_update_replaces_one_seat_after_the_other() -> None:
    swarm, agent = begun(everywhere())
    swarm.update(agent, everywhere(image="better"))
    swarm.settle()
    assert sorted(t.node_id for t in swarm.tasks(agent, wanted=True) if t.desired is TaskState.READY) == ["node-1"]
    swarm.advance(60)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    status = swarm.service(agent).update_status
    assert status is not None
    assert status.state == "completed"
    assert {swarm.state.template_of(t).spec.container_spec.image for t in swarm.tasks(agent, wanted=True)} == {  # type: ignore[union-attr]  # it has one
        "better"
    }
    swarm.check()


def test_an_update_leaves_a_paused_node_alone_until_it_is_active() -> None:
    swarm, agent = begun(everywhere())
    swarm.avail("node-2", Availability.PAUSE)
    before = on(swarm, agent, "node-2")
    swarm.update(agent, everywhere(image="better"))
    swarm.advance(60)
    assert on(swarm, agent, "node-2").id == before.id
    assert swarm.running(agent) == 3
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.advance(60)
    assert on(swarm, agent, "node-2").id != before.id
    assert swarm.running(agent) == 3
    swarm.check()


def test_a_node_that_joins_during_an_update_gets_the_present_template() -> None:
    swarm, agent = begun(everywhere())
    swarm.update(agent, everywhere(image="better"))
    swarm.submit(join_nodes(NodeId("late")))
    swarm.submit(ObserveNodes((NodeId("late"),), NodeState.READY))
    swarm.advance(60)
    assert on(swarm, agent, "late").origin.spec_version == swarm.service(agent).spec_version
    assert swarm.running(agent) == 4
    swarm.check()
