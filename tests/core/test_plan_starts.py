"""A task that is wanted READY starts when its delay and its predecessor are over, or the predecessor takes too long."""

import pytest
from skep.core.commands import StartEngine
from skep.core.plan import PLANS
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, ServiceId
from skep.model.service import RestartPolicy, UpdateConfig
from skep.model.states import Availability, Mode, NodeState, TaskState, UpdateState
from skep.model.task import Task
from skep.testing.core_swarm import CoreSwarm
from skep.testing.sources import NumberedIds


def stuck(*, replicas: int = 1, **update: int) -> tuple[CoreSwarm, ServiceId, list[Task]]:
    """Have a service whose tasks never stop."""
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "v1", replicas=replicas, update=UpdateConfig(**update)))  # type: ignore[arg-type]  # all are numbers
    swarm.quiet()
    tasks = swarm.tasks(web)
    swarm.stuck |= dict.fromkeys(task.id for task in tasks)
    return swarm, web, tasks


def test_an_update_waits_a_minute_for_a_task_that_does_not_stop() -> None:
    swarm, web, (old,) = stuck()
    swarm.update(web, service_spec("web", "v2"))
    swarm.advance(59.9)
    new = swarm.tasks(web)[-1]
    assert (new.desired, new.state) == (TaskState.READY, TaskState.READY)
    swarm.advance(0.1)
    assert swarm.state.tasks[new.id].state is TaskState.RUNNING
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.advance(6)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.COMPLETED
    swarm.check()


def test_each_seat_of_an_update_has_its_minute() -> None:
    swarm, web, _ = stuck(replicas=2, parallelism=1)
    swarm.update(web, service_spec("web", "v2", replicas=2, update=UpdateConfig(parallelism=1)))
    swarm.advance(60)
    assert [task.desired for task in swarm.tasks(web, wanted=True)] == [TaskState.RUNNING, TaskState.READY]
    swarm.advance(60)
    assert [task.desired for task in swarm.tasks(web, wanted=True)] == [TaskState.RUNNING, TaskState.RUNNING]
    swarm.check()


def test_a_drained_node_holds_up_nothing_for_more_than_a_minute() -> None:
    swarm, web, (old,) = stuck()
    swarm.avail(old.node_id, Availability.DRAIN)
    swarm.advance(59.9)
    assert swarm.running(web) == 1
    swarm.advance(0.1)
    assert swarm.running(web) == 2
    assert len(swarm.tasks(web, wanted=True)) == 1
    swarm.check()


def test_a_slot_of_a_job_waits_no_longer_either() -> None:
    swarm = CoreSwarm()
    swarm.lasting["demo"] = None
    job = swarm.create(service_spec("job", "demo", mode=Mode.REPLICATED_JOB))
    swarm.quiet()
    (old,) = swarm.tasks(job)
    swarm.stuck[old.id] = None
    swarm.avail(old.node_id, Availability.DRAIN)
    swarm.advance(60)
    assert [(task.slot, task.desired) for task in swarm.tasks(job, wanted=True)] == [(0, TaskState.COMPLETE)]
    swarm.check()


def test_a_node_that_is_back_in_time_changes_nothing_of_the_delay() -> None:
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "v1", restart=RestartPolicy(delay=20 * NANOSECONDS)))
    swarm.quiet()
    (old,) = swarm.tasks(web)
    swarm.observe(old.node_id, NodeState.DOWN)
    swarm.quiet()
    swarm.advance(10)
    swarm.observe(old.node_id, NodeState.READY)
    swarm.advance(9.9)
    assert swarm.tasks(web)[-1].desired is TaskState.READY
    swarm.advance(0.1)
    assert swarm.tasks(web)[-1].state is TaskState.RUNNING
    swarm.check()


def test_what_waits_is_asked_for_in_the_order_of_its_creation_whatever_its_nodes_do() -> None:
    swarm, web, _ = stuck(replicas=4, parallelism=1)
    swarm.update(web, service_spec("web", "v2", replicas=4, update=UpdateConfig(parallelism=0)))
    swarm.settle()
    waiting = list(swarm.state.service_tasks[web].blocked)
    for state in (NodeState.DISCONNECTED, NodeState.READY):
        swarm.observe("node-1", state)
        swarm.settle()
    assert list(swarm.state.service_tasks[web].blocked) == waiting
    swarm.check()


@pytest.mark.parametrize("down_s", [0.0, 3600.0])
def test_an_engine_that_starts_waits_no_longer_than_the_one_before(down_s: float) -> None:
    swarm, web, _ = stuck()
    swarm.update(web, service_spec("web", "v2"))
    swarm.advance(30)
    swarm.now = type(swarm.now)(swarm.now + round(down_s * NANOSECONDS))
    swarm.submit(StartEngine("again"))
    swarm.observe(NodeId("node-1"), NodeState.READY)
    swarm.observe(NodeId("node-2"), NodeState.READY)
    swarm.advance(30)
    assert swarm.tasks(web)[-1].desired is TaskState.RUNNING
    swarm.check()


def test_while_nothing_is_due_the_plan_says_when() -> None:
    swarm, web, _ = stuck()
    swarm.update(web, service_spec("web", "v2"))
    swarm.settle()
    created = swarm.tasks(web)[-1].origin.created_at
    plan = PLANS["starts"](swarm.state, web, swarm.now, NumberedIds("probe"))
    assert (plan.commands, plan.wake_at) == ((), created + 60 * NANOSECONDS)
