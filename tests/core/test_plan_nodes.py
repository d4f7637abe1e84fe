"""Nodes that may keep no task: drained, down, gone; and nodes that come back (FACTS, chapter 8)."""

import pytest
from msgspec.structs import replace
from skep.core.commands import CreateNetwork, DescribeNode, RemoveNode, RemoveService, StartEngine
from skep.core.rejected import Rejected
from skep.model.build import network_spec, service_spec
from skep.model.ids import NetworkId, NodeId, ServiceId
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    Reservations,
    ResourceRequirements,
    UpdateConfig,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.core_swarm import CoreSwarm

DAY_S = 24 * 3600

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
    swarm.advance(59)
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


# --- states of a node


@pytest.mark.parametrize("state", [NodeState.UNKNOWN, NodeState.DISCONNECTED])
def test_a_node_that_is_not_heard_but_not_down_keeps_its_tasks_and_gets_no_new_ones(state: NodeState) -> None:
    swarm, web = running()
    swarm.observe(ONE, state)
    swarm.advance(60)
    assert swarm.running(web) == 2
    swarm.scale(web, 4)
    swarm.advance(60)
    assert [sum(1 for _ in swarm.state.tasks_on(n)) for n in (ONE, TWO)] == [1, 3]
    swarm.check()


def test_what_a_node_that_is_not_heard_still_has_to_stop_is_waited_for_until_it_is_down() -> None:
    swarm, web = running()
    old = next(iter(swarm.state.tasks_on(ONE)))
    swarm.observe(ONE, NodeState.UNKNOWN)
    swarm.avail(ONE, Availability.DRAIN)
    swarm.advance(59)
    assert swarm.tasks(web)[-1].desired is TaskState.READY
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.quiet()
    assert swarm.tasks(web)[-1].state is TaskState.RUNNING
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.check()


def test_the_tasks_of_a_node_that_is_down_for_a_day_are_orphaned() -> None:
    swarm, _ = running()
    (lost,) = swarm.state.tasks_on(ONE)
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(DAY_S - 1)
    assert swarm.state.tasks[lost.id].state is TaskState.RUNNING
    swarm.check()
    swarm.advance(1)
    orphan = swarm.state.tasks[lost.id]
    assert (orphan.state, orphan.status.message) == (
        TaskState.ORPHANED,
        "Task belonged to a node that was down for a day",
    )
    swarm.check()


def test_what_an_orphaned_task_was_given_is_free() -> None:
    swarm = CoreSwarm(nodes=2, ingress=True)
    swarm.submit(CreateNetwork(NetworkId("inner"), network_spec("inner")))
    unit = GenericResource(discrete_resource_spec=DiscreteResource("gpu", 1))
    for node_id in (ONE, TWO):
        description = replace(swarm.state.nodes[node_id].description, resources=Reservations(generic_resources=(unit,)))
        swarm.submit(DescribeNode(node_id, description))
    spec = service_spec("web", "demo", replicas=2, networks=["inner"])
    wanted = ResourceRequirements(reservations=Reservations(generic_resources=(unit,)))
    web = swarm.create(replace(spec, task_template=replace(spec.template, resources=wanted)))
    swarm.quiet()
    (lost,) = swarm.state.tasks_on(ONE)
    (address,) = swarm.state.given[lost.id].addresses
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.scale(web, 1)
    swarm.quiet()
    assert lost.id in swarm.state.addresses[address.network_id].values()
    swarm.advance(DAY_S)
    assert lost.id not in swarm.state.addresses[address.network_id].values()
    assert lost.id not in swarm.state.given
    swarm.check()
    swarm.observe(ONE, NodeState.READY)
    swarm.scale(web, 2)  # the unit of its node is to be had again
    swarm.quiet()
    assert [task.node_id for task in swarm.tasks(web, wanted=True)] == [TWO, ONE]
    swarm.check()


def test_a_removed_service_is_forgotten_though_its_node_never_came_back() -> None:
    swarm, web = running()
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(30)
    swarm.submit(RemoveService(web))
    swarm.advance(30)
    assert [t.state for t in swarm.tasks(web)] == [TaskState.RUNNING]
    swarm.advance(DAY_S)
    assert not swarm.state.tasks
    swarm.check()


def test_the_day_begins_anew_when_the_node_was_heard_or_an_engine_starts() -> None:
    swarm, _ = running()
    (lost,) = swarm.state.tasks_on(ONE)
    swarm.stuck[lost.id] = None
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(DAY_S / 2)
    swarm.observe(ONE, NodeState.READY)
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(DAY_S / 2)
    assert swarm.state.tasks[lost.id].state is TaskState.RUNNING
    swarm.submit(StartEngine("again"))
    swarm.advance(DAY_S - 1)
    assert swarm.state.tasks[lost.id].state is TaskState.RUNNING
    swarm.advance(1)
    assert swarm.state.tasks[lost.id].state is TaskState.ORPHANED
    swarm.check()


def test_an_agent_that_is_heard_again_after_its_tasks_were_orphaned_changes_nothing_of_them() -> None:
    swarm, web = running()
    (lost,) = swarm.state.tasks_on(ONE)
    swarm.observe(ONE, NodeState.DOWN, "heartbeat failure")
    swarm.advance(DAY_S)
    swarm.observe(ONE, NodeState.READY)
    assert swarm.report(swarm.state.tasks[lost.id], TaskState.SHUTDOWN) is None
    swarm.advance(60)
    assert swarm.running(web) == 2
    swarm.check()


# --- removal


def test_a_node_that_is_not_down_is_removed_by_force_only() -> None:
    swarm, web = running()
    words = f"node {ONE} is not down and can't be removed"
    for state in (NodeState.READY, NodeState.UNKNOWN, NodeState.DISCONNECTED):
        swarm.observe(ONE, state)
        with pytest.raises(Rejected, match=words):
            swarm.submit(RemoveNode(ONE))
    swarm.submit(RemoveNode(ONE, force=True))
    swarm.advance(30)
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == [TWO, TWO]
    swarm.check()


def test_a_global_task_that_waits_for_its_restart_as_its_node_is_struck_ends_with_it() -> None:
    swarm = CoreSwarm(nodes=2)
    swarm.broken["demo"] = "task: non-zero exit (1)"
    web = swarm.create(service_spec("web", "demo", mode="global"))
    swarm.advance(1)
    swarm.submit(RemoveNode(ONE, force=True))
    swarm.settle()
    swarm.check()
    swarm.broken.clear()
    swarm.advance(30)
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == [TWO]
    swarm.check()
