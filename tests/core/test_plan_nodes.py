"""Nodes that may keep no task: drained, down, gone; and nodes that come back (FACTS, chapter 8)."""

from skep.core.commands import RemoveNode
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.service import UpdateConfig
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.core_swarm import CoreSwarm

ONE, TWO = NodeId("node-1"), NodeId("node-2")


def running(replicas: int = 2) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=replicas))
    swarm.quiet()
    return swarm, web


def test_a_drained_node_keeps_no_running_task() -> None:
    swarm, web = running()
    swarm.avail(ONE, Availability.DRAIN)
    swarm.quiet()
    assert not swarm.state.node_tasks[ONE].active
    assert swarm.running(web) == 2
    swarm.check()


def test_the_replacement_of_a_drained_task_is_ready_at_once_and_runs_when_the_old_one_stopped() -> None:
    swarm, web = running()
    old = next(iter(swarm.state.tasks_on(ONE)))
    swarm.stuck[old.id] = None
    swarm.avail(ONE, Availability.DRAIN)
    swarm.advance(60)
    new = swarm.tasks(web)[-1]
    assert (new.state, new.desired, new.origin.replaces) == (TaskState.READY, TaskState.READY, old.id)
    swarm.report(old, TaskState.SHUTDOWN)
    swarm.quiet()
    assert swarm.state.tasks[new.id].state is TaskState.RUNNING
    swarm.check()


def test_a_node_that_is_active_again_gets_nothing_back() -> None:
    swarm, web = running()
    swarm.avail(ONE, Availability.DRAIN)
    swarm.quiet()
    swarm.avail(ONE, Availability.ACTIVE)
    swarm.advance(60)
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == [TWO, TWO]
    swarm.check()


def test_a_paused_node_keeps_what_it_has_and_gets_nothing_new() -> None:
    swarm, web = running()
    swarm.avail(ONE, Availability.PAUSE)
    swarm.scale(web, 6)
    swarm.quiet()
    assert [sum(1 for _ in swarm.state.tasks_on(n)) for n in (ONE, TWO)] == [1, 5]
    swarm.check()


def test_the_tasks_of_a_node_that_is_down_run_elsewhere_after_the_restart_delay() -> None:
    swarm, web = running()
    lost = next(iter(swarm.state.tasks_on(ONE)))
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(4.9)
    assert (swarm.state.tasks[lost.id].state, swarm.state.tasks[lost.id].desired) == (
        TaskState.RUNNING,
        TaskState.SHUTDOWN,
    )
    assert swarm.tasks(web)[-1].state is TaskState.READY
    swarm.advance(0.1)
    assert swarm.tasks(web)[-1].state is TaskState.RUNNING
    swarm.check()


def test_a_node_that_is_back_ends_its_old_tasks_and_nothing_moves() -> None:
    swarm, web = running()
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(10)
    swarm.observe(ONE, NodeState.READY)
    swarm.advance(60)
    assert [t.state for t in swarm.state.tasks_on(ONE)] == [TaskState.SHUTDOWN]
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == [TWO, TWO]
    swarm.check()


def test_the_tasks_of_a_removed_node_are_orphaned_and_replaced() -> None:
    swarm, web = running()
    lost = next(iter(swarm.state.tasks_on(ONE)))
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.submit(RemoveNode(ONE))
    swarm.advance(30)
    orphan = swarm.state.tasks[lost.id]
    assert orphan.state is TaskState.ORPHANED
    assert orphan.status.message == "Task belonged to a node that has been deleted"
    assert swarm.running(web) == 2
    swarm.check()


def test_a_node_lost_during_a_start_first_update_gives_no_slot_a_third_task() -> None:
    swarm = CoreSwarm(nodes=2)
    start_first = UpdateConfig(order="start-first")
    web = swarm.create(service_spec("web", "v1", replicas=2, update=start_first))
    swarm.quiet()
    old = next(iter(swarm.state.tasks_on(ONE)))
    swarm.update(web, service_spec("web", "v2", replicas=2, update=start_first))
    swarm.settle()
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.settle()
    assert len([t for t in swarm.tasks(web, wanted=True) if t.slot == old.slot]) == 1
    swarm.advance(60)
    assert swarm.running(web) == 3, "two, and the lost one of which nobody heard"
    swarm.check()
