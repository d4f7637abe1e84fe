"""A global service has one task on each node that is active, ready, and fulfils its constraints; a job runs it once."""

import pytest
from msgspec.structs import replace
from skep.core.commands import ObserveNodes, RemoveNode, RemoveService
from skep.core.events import TasksCreated
from skep.core.tally import Tally, lack, tally
from skep.model.ids import NO_SLOT, NodeId
from skep.model.service import RestartPolicy
from skep.model.states import Availability, Mode, NodeState, TaskState
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm

from tests.core.global_services import BOTH, ZONE_A, begun, everywhere, label, large, nodes_of, on


@BOTH
def test_a_task_that_waits_for_its_node_goes_when_the_node_does_not_fit_any_more(mode: Mode) -> None:
    swarm = CoreSwarm(nodes=2)
    label(swarm, "node-1", zone="a")
    agent = swarm.create(large(everywhere(mode, placement=ZONE_A)))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1"]
    label(swarm, "node-1", zone="b")
    swarm.quiet()
    assert swarm.tasks(agent) == []
    swarm.check()


@BOTH
def test_each_node_has_a_task(mode: Mode) -> None:
    swarm, agent = begun(everywhere(mode))
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    assert swarm.running(agent) == 3
    assert {task.slot for task in swarm.tasks(agent)} == {NO_SLOT}
    swarm.check()


@BOTH
def test_a_task_is_born_with_its_node(mode: Mode) -> None:
    swarm, _ = begun(everywhere(mode))
    made = swarm.events(TasksCreated)[0]
    assert isinstance(made, TasksCreated)
    assert (made.node_ids, made.slots) == (("node-1", "node-2", "node-3"), ())
    assert made.desired is (TaskState.COMPLETE if mode is Mode.GLOBAL_JOB else TaskState.RUNNING)


@BOTH
def test_a_node_that_joins_gets_a_task(mode: Mode) -> None:
    swarm, agent = begun(everywhere(mode), nodes=1)
    swarm.submit(join_nodes(NodeId("late")))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1"]
    swarm.submit(ObserveNodes((NodeId("late"),), NodeState.READY))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["late", "node-1"]
    swarm.check()


@BOTH
@pytest.mark.parametrize("availability", [Availability.DRAIN, Availability.PAUSE])
def test_a_node_that_takes_no_tasks_gets_one_when_it_is_active_again(mode: Mode, availability: Availability) -> None:
    swarm = CoreSwarm(nodes=2)
    swarm.lasting["demo"] = None
    swarm.avail("node-2", availability)
    agent = swarm.create(everywhere(mode))
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1"]
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2"]
    swarm.check()


@BOTH
def test_a_node_that_is_not_heard_gets_no_task(mode: Mode) -> None:
    swarm = CoreSwarm(nodes=2)
    swarm.lasting["demo"] = None
    swarm.observe("node-2", NodeState.DOWN)
    agent = swarm.create(everywhere(mode))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1"]
    swarm.observe("node-2", NodeState.READY)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2"]
    swarm.check()


@BOTH
def test_only_nodes_that_fulfil_the_constraints_have_a_task(mode: Mode) -> None:
    swarm = CoreSwarm(nodes=3)
    swarm.lasting["demo"] = None
    label(swarm, "node-2", zone="a")
    agent = swarm.create(everywhere(mode, placement=ZONE_A))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-2"]
    label(swarm, "node-3", zone="a")
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-2", "node-3"]
    swarm.check()


def test_a_drained_node_keeps_none_and_nothing_comes_elsewhere() -> None:
    swarm, agent = begun(everywhere())
    swarm.avail("node-2", Availability.DRAIN)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    assert tally(swarm.state, swarm.service(agent)) == Tally(2, 2)
    assert not swarm.state.given_up
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


def test_a_paused_node_keeps_its_task() -> None:
    swarm, agent = begun(everywhere())
    swarm.avail("node-2", Availability.PAUSE)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


def test_a_node_that_was_down_gets_its_task_again() -> None:
    swarm, agent = begun(everywhere())
    before = on(swarm, agent, "node-2")
    swarm.observe("node-2", NodeState.DOWN)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.observe("node-2", NodeState.READY)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    assert swarm.state.tasks[before.id].state is TaskState.SHUTDOWN
    swarm.check()


def test_a_node_that_left_leaves_its_task_orphaned_and_unreplaced() -> None:
    swarm, agent = begun(everywhere())
    before = on(swarm, agent, "node-2")
    swarm.submit(RemoveNode(NodeId("node-2"), force=True))
    swarm.advance(30)
    assert swarm.state.tasks[before.id].state is TaskState.ORPHANED
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    assert not swarm.state.given_up
    assert tally(swarm.state, swarm.service(agent)) == Tally(2, 2)
    swarm.check()


def test_a_task_that_waited_on_a_node_that_left_is_orphaned_and_unreplaced() -> None:
    swarm, agent = begun(everywhere())
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.quiet()
    swarm.submit(RemoveNode(NodeId("node-2"), force=True))
    swarm.quiet()
    swarm.check_content()
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.check()


def test_a_seat_that_gave_up_is_forgotten_with_its_node() -> None:
    swarm, agent = begun(everywhere(restart=RestartPolicy(condition="none")))
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.quiet()
    assert list(swarm.state.given_up[agent]) == ["node-2"]
    swarm.submit(RemoveNode(NodeId("node-2"), force=True))
    swarm.quiet()
    assert not swarm.state.given_up
    swarm.check()


def test_constraints_of_the_present_spec_end_tasks_elsewhere() -> None:
    swarm, agent = begun(everywhere())
    label(swarm, "node-2", zone="a")
    swarm.update(agent, everywhere(placement=ZONE_A))
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-2"]
    assert swarm.running(agent) == 1
    assert not swarm.state.given_up
    swarm.update(agent, everywhere())
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


def test_a_node_whose_label_comes_back_gets_its_task_again() -> None:
    """Recorded in scenario 55: evicted when it goes, and there again when it comes."""
    swarm = CoreSwarm(nodes=2)
    for node_id in ("node-1", "node-2"):
        label(swarm, node_id, zone="a")
    agent = swarm.create(everywhere(placement=ZONE_A))
    swarm.quiet()
    label(swarm, "node-2")
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1"]
    assert on(swarm, agent, "node-2").state is TaskState.REJECTED
    label(swarm, "node-2", zone="a")
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2"]
    swarm.check()


@BOTH
def test_removing_the_service_leaves_nothing(mode: Mode) -> None:
    swarm, agent = begun(everywhere(mode))
    swarm.submit(RemoveService(agent))
    swarm.advance(30)
    assert swarm.tasks(agent) == []
    assert not swarm.state.node_services
    swarm.check()


@BOTH
def test_each_of_several_services_has_its_own(mode: Mode) -> None:
    swarm, agent = begun(everywhere(mode), nodes=2)
    other = swarm.create(replace(everywhere(mode), name="other"))
    swarm.submit(join_nodes(NodeId("late")))
    swarm.submit(ObserveNodes((NodeId("late"),), NodeState.READY))
    swarm.quiet()
    assert nodes_of(swarm, agent) == nodes_of(swarm, other) == ["late", "node-1", "node-2"]
    swarm.submit(RemoveService(other))
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["late", "node-1", "node-2"]
    swarm.check()


# --- what is told of them


def test_a_paused_node_that_keeps_its_task_or_lost_it_is_no_lack() -> None:
    swarm, agent = begun(everywhere())
    swarm.avail("node-2", Availability.PAUSE)
    swarm.avail("node-3", Availability.PAUSE)
    assert lack(swarm.state, swarm.service(agent)) == ""
    swarm.report(on(swarm, agent, "node-3"), TaskState.FAILED)
    swarm.quiet()
    assert lack(swarm.state, swarm.service(agent)) == ""
    swarm.update(agent, everywhere(image="better"))
    swarm.advance(60)
    assert lack(swarm.state, swarm.service(agent)) == ""
    swarm.avail("node-3", Availability.ACTIVE)
    swarm.settle()
    assert lack(swarm.state, swarm.service(agent)) == "agent is updating"
    swarm.advance(60)
    assert lack(swarm.state, swarm.service(agent)) == ""


def test_a_job_lacks_what_is_not_complete() -> None:
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB), nodes=2)
    swarm.report(on(swarm, agent, "node-1"), TaskState.COMPLETE)
    assert lack(swarm.state, swarm.service(agent)) == "agent completed 1 of 2 tasks"
    swarm.report(on(swarm, agent, "node-2"), TaskState.COMPLETE)
    assert lack(swarm.state, swarm.service(agent)) == ""
