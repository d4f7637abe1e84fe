"""What agents report: news of a node's own tasks is taken, each task's once; nothing goes back."""

import itertools

import pytest
import skep
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.commands import ReportTasks
from skep.core.events import TasksReported
from skep.model.ids import NodeId, TaskId
from skep.model.service import Reservations, ResourceRequirements, ServiceMode
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.testing.core_swarm import CoreSwarm

STATES = [
    TaskState.NEW,
    TaskState.ASSIGNED,
    TaskState.PREPARING,
    TaskState.RUNNING,
    TaskState.COMPLETE,
    TaskState.FAILED,
    TaskState.ORPHANED,
    TaskState.REMOVE,
]


def assigned() -> tuple[CoreSwarm, Task]:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(skep.service_spec("web", "demo"))
    swarm.settle()
    return swarm, swarm.tasks(web)[0]


def say(swarm: CoreSwarm, node_id: NodeId, task_id: TaskId, *states: TaskState) -> list[TaskState]:
    """Report these states of a task together, in this order; return which became an event."""
    statuses = tuple(TaskStatus(state, swarm.now, state.word) for state in states)
    record = swarm.submit(ReportTasks(node_id, (task_id,) * len(states), statuses))
    events = record.events if record else ()
    return [status.state for event in events if isinstance(event, TasksReported) for status in event.statuses]


def test_of_several_reports_of_a_task_that_come_together_the_furthest_counts() -> None:
    swarm, task = assigned()
    said = say(swarm, task.node_id, task.id, TaskState.RUNNING, TaskState.FAILED, TaskState.RUNNING)
    assert said == [TaskState.FAILED]
    assert swarm.state.tasks[task.id].state is TaskState.FAILED
    swarm.advance(60)
    assert swarm.running(task.service_id) == 1
    swarm.check()


def test_what_is_said_twice_is_taken_once() -> None:
    swarm, task = assigned()
    assert say(swarm, task.node_id, task.id, TaskState.RUNNING, TaskState.RUNNING) == [TaskState.RUNNING]
    assert say(swarm, task.node_id, task.id, TaskState.RUNNING) == []
    swarm.check()


def test_a_node_says_nothing_of_another_s_tasks_nor_of_what_is_forgotten() -> None:
    swarm, task = assigned()
    (other,) = (node_id for node_id in swarm.state.nodes if node_id != task.node_id)
    assert say(swarm, other, task.id, TaskState.FAILED) == []
    assert say(swarm, NodeId("nobody"), task.id, TaskState.FAILED) == []
    assert say(swarm, task.node_id, TaskId("forgotten"), TaskState.FAILED) == []
    swarm.check()


@pytest.mark.parametrize("mode", [ServiceMode(), ServiceMode(global_={})])
def test_a_task_that_was_not_assigned_yet_is_nobody_s_to_report(mode: ServiceMode) -> None:
    """A global service's task is born with its node, and still the scheduler's until it is assigned."""
    swarm = CoreSwarm(nodes=1)
    spec = replace(skep.service_spec("web", "demo"), mode=mode)
    elsewhere = ResourceRequirements(reservations=Reservations(nano_cpus=10**9))
    web = swarm.create(replace(spec, task_template=replace(spec.template, resources=elsewhere)))
    swarm.settle()
    (task,) = swarm.tasks(web)
    for node_id in (NodeId("node-1"), NodeId("")):
        assert say(swarm, node_id, task.id, TaskState.RUNNING, TaskState.FAILED) == []
    assert swarm.tasks(web)[0].state is TaskState.PENDING
    swarm.check()


@given(st.lists(st.lists(st.sampled_from(STATES), min_size=1, max_size=4), max_size=4))
def test_whatever_is_reported_a_task_never_goes_back(messages: list[list[TaskState]]) -> None:
    swarm, task = assigned()
    seen = [task.state]
    for message in messages:
        say(swarm, task.node_id, task.id, *message)
        seen.append(swarm.state.tasks[task.id].state)
    assert all(before <= after for before, after in itertools.pairwise(seen))
    assert not {TaskState.ORPHANED, TaskState.REMOVE, TaskState.NEW} & set(seen)
    swarm.quiet()
    swarm.check()
