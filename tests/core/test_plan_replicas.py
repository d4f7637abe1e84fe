"""A replicated service has as many slots in use as replicas are wanted (FACTS, chapter 5)."""

import pytest
from skep.core.commands import RemoveService
from skep.core.events import TasksCreated, TasksDesired
from skep.core.plan import CONTENT, PLANS
from skep.model.build import service_spec
from skep.model.service import RestartPolicy
from skep.model.states import TaskState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.sources import NumberedIds


def test_a_new_service_gets_a_task_in_each_slot_from_one_on() -> None:
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.settle()
    assert [e.slots for e in swarm.events(TasksCreated) if isinstance(e, TasksCreated)] == [(1, 2, 3)]
    assert all(task.desired is TaskState.RUNNING for task in swarm.tasks(web))
    swarm.check()


def test_no_replicas_want_no_task() -> None:
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "demo", replicas=0))
    swarm.quiet()
    assert swarm.tasks(web) == []
    swarm.check()


def test_scaling_up_uses_the_lowest_free_slots() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", replicas=5))
    swarm.quiet()
    swarm.scale(web, 2)
    swarm.quiet()
    assert swarm.slots(web) == [1, 2]
    swarm.scale(web, 4)
    swarm.quiet()
    assert swarm.slots(web) == [1, 2, 3, 4]
    swarm.check()


def test_scaling_down_takes_the_highest_slots_of_the_fullest_node() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=5))
    swarm.quiet()
    by_node = {node_id: [t.slot for t in swarm.state.tasks_on(node_id)] for node_id in swarm.state.nodes}
    full, other = sorted(by_node.values(), key=len, reverse=True)
    assert (len(full), len(other)) == (3, 2)
    swarm.scale(web, 4)
    swarm.quiet()
    assert swarm.slots(web) == sorted([*full[:-1], *other])
    swarm.scale(web, 2)
    swarm.quiet()
    assert swarm.slots(web) == sorted([full[0], other[0]])
    swarm.check()


def test_scaling_down_takes_what_does_not_run_before_what_runs_beside_it() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=6))
    swarm.quiet()
    on_first = [task for task in swarm.tasks(web) if task.node_id == "node-1"]
    swarm.report(on_first[0], TaskState.FAILED)
    swarm.settle()  # what follows waits for its delay
    swarm.scale(web, 5)
    swarm.settle()
    assert swarm.slots(web) == [slot for slot in range(1, 7) if slot != on_first[0].slot]
    swarm.check()


def test_scaling_down_takes_slots_without_a_node_first() -> None:
    swarm = CoreSwarm(nodes=0)
    web = swarm.create(service_spec("web", "demo", replicas=2))
    swarm.quiet()
    swarm.scale(web, 1)
    swarm.quiet()
    assert swarm.slots(web) == [1]
    assert [task.slot for task in swarm.tasks(web)] == [1], "what never had a node is forgotten at once"
    swarm.check()


def test_what_is_scaled_away_is_wanted_removed_and_vanishes_when_it_stopped() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", replicas=2))
    swarm.quiet()
    swarm.scale(web, 1)
    swarm.settle()
    assert swarm.tasks(web, wanted=False)[0].desired is TaskState.REMOVE
    swarm.quiet()
    assert [task.slot for task in swarm.tasks(web)] == [1]
    swarm.check()


def test_a_removed_service_leaves_nothing() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.quiet()
    swarm.submit(RemoveService(web))
    swarm.settle()
    assert {task.desired for task in swarm.tasks(web)} == {TaskState.REMOVE}
    swarm.quiet()
    assert not swarm.state.tasks
    assert not swarm.state.templates
    assert not swarm.state.service_tasks
    swarm.check()


def test_a_service_removed_before_it_was_planned_leaves_nothing() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert not swarm.state.tasks
    assert not swarm.state.templates
    swarm.check()


def test_a_slot_that_gave_up_is_not_revived_by_scaling() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", replicas=2, restart=RestartPolicy(condition="none")))
    swarm.quiet()
    swarm.report(swarm.tasks(web)[0], TaskState.FAILED)
    swarm.quiet()
    swarm.scale(web, 3)
    swarm.quiet()
    assert swarm.slots(web) == [2, 3]
    assert swarm.running(web) == 2
    swarm.check()


def test_tasks_removed_at_once_are_one_event() -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=50))
    swarm.quiet()
    before = swarm.state.position
    swarm.submit(RemoveService(web))
    swarm.settle()
    assert len(swarm.events(TasksDesired, after=before)) == 1
    swarm.check()


def test_while_a_removed_services_tasks_stop_its_plan_looks_at_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=5))
    swarm.quiet()
    swarm.scale(web, 3)
    swarm.submit(RemoveService(web))
    swarm.settle()
    swarm.check()
    assert {task.desired for task in swarm.tasks(web)} == {TaskState.REMOVE}
    monkeypatch.setattr(swarm.state, "tasks", {})
    assert PLANS["replicas"](swarm.state, web, swarm.now, NumberedIds("probe")) == CONTENT
