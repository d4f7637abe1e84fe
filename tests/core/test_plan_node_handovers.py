"""Where a service starts first, the task of a drained node goes on until its successor runs."""

from typing import Any

import pytest
from skep.core.commands import RemoveService
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.service import (
    RestartPolicy,
    UpdateConfig,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.model.task import Task
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm

ONE, TWO = NodeId("node-1"), NodeId("node-2")


START_FIRST = UpdateConfig(order="start-first")


def handing_over(**more: Any) -> tuple[CoreSwarm, ServiceId, Task]:
    """A swarm in which a drained task waits for its successor, which is stuck as it is prepared."""
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "demo", update=START_FIRST, **more))
    swarm.quiet()
    (old,) = swarm.tasks(web)
    swarm.avail(old.node_id, Availability.DRAIN)
    swarm.settle()
    (new,) = [t for t in swarm.tasks(web) if t.id != old.id]
    swarm.stuck[new.id] = None
    swarm.report(new, TaskState.PREPARING)
    swarm.quiet()
    return swarm, web, swarm.state.tasks[old.id]


def successor_of(swarm: CoreSwarm, web: ServiceId) -> Task:
    return swarm.tasks(web)[-1]


def test_a_service_that_starts_first_keeps_a_drained_task_until_its_replacement_runs() -> None:
    swarm, web, old = handing_over()
    new = successor_of(swarm, web)
    assert (new.desired, new.origin.replaces) == (TaskState.RUNNING, old.id)
    assert new.node_id != old.node_id
    before = swarm.state.position
    swarm.advance(600)
    assert swarm.state.position == before, "it waits in silence"
    assert (swarm.state.tasks[old.id].state, swarm.state.tasks[old.id].desired) == (
        TaskState.RUNNING,
        TaskState.RUNNING,
    )
    swarm.check()
    swarm.stuck.clear()
    swarm.quiet()
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    assert swarm.running(web) == 1
    assert not swarm.state.node_tasks[old.node_id].active
    swarm.check()


def test_a_drained_task_that_does_not_run_yet_is_not_waited_for() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", update=START_FIRST))
    swarm.settle()
    (old,) = swarm.tasks(web)
    swarm.avail(old.node_id, Availability.DRAIN)
    swarm.settle()
    assert swarm.state.tasks[old.id].desired is TaskState.SHUTDOWN
    swarm.quiet()
    assert swarm.running(web) == 1
    swarm.check()


def test_where_no_node_takes_the_replacement_the_drained_task_goes_on() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", update=START_FIRST))
    swarm.quiet()
    swarm.avail(ONE, Availability.DRAIN)
    swarm.advance(600)
    assert swarm.running(web) == 1
    assert swarm.tasks(web)[-1].status.err == "no suitable node (1 node not available for new tasks)"
    swarm.check()
    swarm.submit(join_nodes("later"))
    swarm.observe("later", NodeState.READY)
    swarm.quiet()
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == ["later"]
    assert swarm.running(web) == 1
    swarm.check()


def test_a_replacement_that_fails_before_it_runs_is_followed_by_another_and_the_drained_task_waits_on() -> None:
    swarm, web, old = handing_over()
    first = successor_of(swarm, web)
    swarm.report(first, TaskState.FAILED, err="task: non-zero exit (1)")
    swarm.settle()
    second = successor_of(swarm, web)
    assert second.origin.replaces == first.id
    assert second.desired is TaskState.READY, "after the restart delay"
    assert swarm.state.tasks[old.id].wanted
    swarm.check()
    swarm.advance(4.9)
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.advance(0.1)
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    assert swarm.state.tasks[second.id].state is TaskState.RUNNING
    swarm.check()


@pytest.mark.parametrize("policy", [RestartPolicy(condition="none"), RestartPolicy(max_attempts=1, delay=0)])
def test_a_slot_whose_replacement_gives_up_gives_up_on_the_drained_node_too(policy: RestartPolicy) -> None:
    swarm, web, old = handing_over(restart=policy)
    swarm.stuck.clear()
    swarm.broken["demo"] = "task: non-zero exit (1)"
    swarm.advance(60)
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    assert list(swarm.state.given_up[web]) == [1]
    swarm.check()


def test_a_drained_node_that_goes_down_loses_what_it_still_had_at_once() -> None:
    swarm, web, old = handing_over()
    swarm.observe(old.node_id, NodeState.DOWN, "heartbeat failure")
    swarm.settle()
    assert swarm.state.tasks[old.id].desired is TaskState.SHUTDOWN
    assert len(swarm.tasks(web, wanted=True)) == 1, "its replacement is on its way"
    swarm.check()


def test_a_drained_node_that_is_active_again_gives_its_task_up_all_the_same() -> None:
    swarm, web, old = handing_over()
    swarm.avail(old.node_id, Availability.ACTIVE)
    swarm.advance(600)
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.check()
    swarm.stuck.clear()
    swarm.quiet()
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    assert swarm.running(web) == 1
    swarm.check()


def test_a_replacement_that_fails_after_the_node_is_active_again_is_not_needed() -> None:
    swarm, web, old = handing_over()
    swarm.avail(old.node_id, Availability.ACTIVE)
    swarm.report(successor_of(swarm, web), TaskState.FAILED, err="task: non-zero exit (1)")
    swarm.advance(60)
    assert [t.id for t in swarm.tasks(web, wanted=True)] == [old.id]
    swarm.check()


def test_the_node_of_the_replacement_is_drained_too_and_another_takes_over() -> None:
    swarm, web, old = handing_over()
    new = successor_of(swarm, web)
    swarm.stuck.clear()
    swarm.avail(new.node_id, Availability.DRAIN)
    swarm.quiet()
    (last,) = swarm.tasks(web, wanted=True)
    assert last.node_id not in (old.node_id, new.node_id)
    assert swarm.running(web) == 1
    swarm.check()


def test_the_node_of_the_replacement_is_lost_and_the_drained_task_waits_for_another() -> None:
    swarm, web, old = handing_over()
    new = successor_of(swarm, web)
    swarm.observe(new.node_id, NodeState.DOWN, "heartbeat failure")
    swarm.advance(4)
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.advance(2)
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    assert [t.state for t in swarm.tasks(web, wanted=True)] == [TaskState.RUNNING]
    swarm.check()


def test_an_update_of_what_is_being_handed_over_ends_with_one_task_of_the_new_spec() -> None:
    swarm, web, old = handing_over()
    swarm.update(web, service_spec("web", "v2", update=START_FIRST))
    swarm.advance(60)
    (last,) = swarm.tasks(web, wanted=True)
    assert last.origin.spec_version == swarm.service(web).spec_version
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN
    swarm.check()


@pytest.mark.parametrize("parallelism", [0, 1])
def test_a_handover_ends_though_the_service_is_in_the_midst_of_a_bad_update(parallelism: int) -> None:
    update = UpdateConfig(order="start-first", parallelism=parallelism)
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "v1", replicas=2, update=update))
    swarm.quiet()
    first, second = swarm.tasks(web)
    swarm.avail(second.node_id, Availability.DRAIN)
    swarm.settle()
    (new,) = [t for t in swarm.tasks(web) if t.origin.replaces == second.id]
    swarm.stuck[new.id] = None
    swarm.broken["bad"] = "task: non-zero exit (1)"
    swarm.update(web, service_spec("web", "bad", replicas=2, update=update))
    swarm.advance(2)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state == "paused"
    swarm.stuck.clear()
    swarm.advance(2)
    assert swarm.state.tasks[second.id].state is TaskState.SHUTDOWN
    assert swarm.state.tasks[new.id].state is TaskState.RUNNING
    assert swarm.state.tasks[first.id].state is TaskState.RUNNING
    swarm.check()


def test_a_removed_service_leaves_nothing_on_a_drained_node() -> None:
    swarm, web, _ = handing_over()
    swarm.stuck.clear()
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert not swarm.state.tasks
    swarm.check()


def test_a_spec_that_comes_back_to_a_drained_task_does_not_keep_it_beside_a_newer_one_that_runs() -> None:
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "v1", update=START_FIRST))
    swarm.quiet()
    (old,) = swarm.tasks(web)
    swarm.avail(old.node_id, Availability.DRAIN)
    swarm.update(web, service_spec("web", "v2", update=START_FIRST))
    swarm.settle()
    swarm.work()
    swarm.update(web, service_spec("web", "v1", update=START_FIRST))
    swarm.settle()
    swarm.check_content()
    assert not swarm.state.tasks[old.id].wanted
    swarm.advance(60)
    assert swarm.running(web) == 1
    swarm.check()
