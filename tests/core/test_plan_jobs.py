"""A replicated job runs each of its slots to completion, so many at once, and all of them again at every update."""

import gc
import sys
from types import FrameType
from typing import Any

import pytest
from skep.core.commands import CreateTasks, RemoveNode, RemoveService, RollbackService
from skep.core.plan import PLANS
from skep.core.tally import Tally, tally
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, ServiceId
from skep.model.service import RestartPolicy, ServiceSpec
from skep.model.states import Availability, Mode, NodeState, TaskState
from skep.model.task import Task
from skep.testing.core_swarm import CoreSwarm
from skep.testing.sources import NumberedIds


def job(total: int, at_once: int | None = None, restart: RestartPolicy | None = None) -> ServiceSpec:
    return service_spec(
        "job", "demo", mode=Mode.REPLICATED_JOB, replicas=total, max_concurrent=at_once, restart=restart
    )


def lasting(spec: ServiceSpec, *, nodes: int = 2) -> tuple[CoreSwarm, ServiceId]:
    """Begin a job whose tasks run until they are said to end."""
    swarm = CoreSwarm(nodes=nodes)
    swarm.lasting["demo"] = None
    job_id = swarm.create(spec)
    swarm.quiet()
    return swarm, job_id


def live(swarm: CoreSwarm, job_id: ServiceId) -> list[Task]:
    return [task for task in swarm.tasks(job_id, wanted=True) if not task.state.terminal]


def slots(tasks: list[Task]) -> list[int]:
    return sorted(task.slot for task in tasks)


def completed(swarm: CoreSwarm, job_id: ServiceId) -> int:
    return tally(swarm.state, swarm.service(job_id)).completed


def end(swarm: CoreSwarm, task: Task, state: TaskState = TaskState.COMPLETE) -> None:
    swarm.report(task, state)
    swarm.quiet()


def test_every_slot_of_a_job_completes_once() -> None:
    swarm = CoreSwarm()
    job_id = swarm.create(job(5, 2))
    swarm.advance(60)
    assert slots(swarm.tasks(job_id)) == [0, 1, 2, 3, 4]
    assert {task.state for task in swarm.tasks(job_id)} == {TaskState.COMPLETE}
    assert completed(swarm, job_id) == 5
    swarm.check()


@pytest.mark.parametrize("down", [False, True])
def test_a_node_that_is_lost_as_a_job_runs_again_makes_no_more_run_at_once_than_may(*, down: bool) -> None:
    swarm, job_id = lasting(job(3, 3), nodes=1)
    swarm.update(job_id, job(3, 1))
    if down:
        swarm.observe("node-1", NodeState.DOWN)
    else:
        swarm.avail("node-1", Availability.DRAIN)
    swarm.quiet()
    assert slots(live(swarm, job_id)) == [0]
    swarm.check()


def test_no_more_run_at_once_than_may() -> None:
    swarm, job_id = lasting(job(5, 2))
    seen = []
    while tasks := live(swarm, job_id):
        seen.append(slots(tasks))
        end(swarm, tasks[0])
    assert seen == [[0, 1], [1, 2], [2, 3], [3, 4], [4]]
    swarm.check()


def test_no_more_run_at_once_than_are_left_to_complete() -> None:
    swarm, job_id = lasting(job(2, 5))
    assert slots(live(swarm, job_id)) == [0, 1]
    end(swarm, live(swarm, job_id)[0])
    assert slots(live(swarm, job_id)) == [1]
    swarm.check()


@pytest.mark.parametrize(("total", "at_once"), [(0, 0), (0, 3), (3, 0)])
def test_a_job_of_nothing_runs_nothing(total: int, at_once: int) -> None:
    swarm, job_id = lasting(job(total, at_once))
    assert swarm.tasks(job_id) == []
    swarm.check()


def test_a_task_of_a_job_is_wanted_complete() -> None:
    swarm, job_id = lasting(job(1))
    assert [task.desired for task in swarm.tasks(job_id)] == [TaskState.COMPLETE]


@pytest.mark.parametrize("condition", ["any", "on-failure"])
def test_a_failing_task_is_restarted_in_its_slot_after_the_delay(condition: str) -> None:
    swarm, job_id = lasting(job(2, 1, RestartPolicy(condition=condition, delay=3 * NANOSECONDS)))
    first = live(swarm, job_id)[0]
    end(swarm, first, TaskState.FAILED)
    second = live(swarm, job_id)[0]
    assert (second.slot, second.desired, second.state) == (0, TaskState.READY, TaskState.READY)
    assert swarm.state.tasks[first.id].desired is TaskState.SHUTDOWN
    swarm.advance(2.9)
    assert swarm.running(job_id) == 0
    swarm.advance(0.2)
    assert [(task.slot, task.desired, task.state) for task in live(swarm, job_id)] == [
        (0, TaskState.COMPLETE, TaskState.RUNNING)
    ]
    swarm.check()


def test_a_failing_task_of_a_replicated_job_is_restarted_at_once_without_a_condition() -> None:
    """Recorded in scenario 42, with the condition `none`."""
    swarm, job_id = lasting(job(1, 1, RestartPolicy(condition="none")))
    for _ in range(10):
        end(swarm, live(swarm, job_id)[0], TaskState.FAILED)
    assert slots(live(swarm, job_id)) == [0]
    assert swarm.running(job_id) == 1
    assert swarm.now == swarm.state.time
    swarm.check()


def test_a_slot_gives_up_after_so_many_attempts_and_the_others_go_on() -> None:
    swarm, job_id = lasting(job(3, 1, RestartPolicy(delay=0, max_attempts=2)))
    for _ in range(3):
        end(swarm, next(t for t in live(swarm, job_id) if t.slot == 0), TaskState.FAILED)
    assert list(swarm.state.given_up[job_id]) == [0]
    assert slots(live(swarm, job_id)) == [1]
    end(swarm, live(swarm, job_id)[0])
    end(swarm, live(swarm, job_id)[0])
    assert slots(live(swarm, job_id)) == []
    assert completed(swarm, job_id) == 2
    swarm.check()


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.REJECTED])
def test_what_fails_is_not_replaced_in_another_slot(state: TaskState) -> None:
    swarm, job_id = lasting(job(5, 2))
    end(swarm, live(swarm, job_id)[0], state)
    swarm.advance(60)
    assert slots(live(swarm, job_id)) == [0, 1]
    swarm.check()


def test_every_update_is_a_new_run_of_all() -> None:
    swarm = CoreSwarm()
    job_id = swarm.create(job(3))
    swarm.quiet()
    for run in range(1, 4):
        swarm.now = type(swarm.now)(swarm.now + NANOSECONDS)
        swarm.update(job_id, swarm.service(job_id).spec)
        swarm.quiet()
        status = swarm.service(job_id).job
        assert status is not None
        assert (status.iteration, status.executed_at) == (run, swarm.now)
        assert completed(swarm, job_id) == 3
    assert len(swarm.tasks(job_id)) == 3 * 4
    swarm.check()


def test_going_back_is_a_new_run_too() -> None:
    swarm, job_id = lasting(job(2))
    swarm.update(job_id, job(1))
    swarm.quiet()
    swarm.submit(RollbackService(job_id, swarm.service(job_id).version))
    swarm.quiet()
    status = swarm.service(job_id).job
    assert status is not None
    assert status.iteration == 2
    assert slots(live(swarm, job_id)) == [0, 1]
    update = swarm.service(job_id).update_status
    assert update is not None
    assert update.state == "rollback_started"  # for ever, as recorded
    swarm.advance(60)
    assert swarm.service(job_id).update_status == update
    swarm.check()


def test_what_lives_of_an_older_run_is_removed() -> None:
    swarm, job_id = lasting(job(2))
    old = live(swarm, job_id)
    swarm.update(job_id, job(2))
    swarm.settle()
    assert {swarm.state.tasks[task.id].desired for task in old} == {TaskState.REMOVE}
    assert slots(live(swarm, job_id)) == [0, 1]
    # those of the run before still run, and count no more
    assert (swarm.running(job_id), tally(swarm.state, swarm.service(job_id))) == (2, Tally(0, 2, 0))
    swarm.quiet()
    assert not any(task.id in swarm.state.tasks for task in old)
    assert swarm.running(job_id) == 2
    swarm.check()


def test_what_completed_in_an_older_run_is_history() -> None:
    swarm = CoreSwarm()
    job_id = swarm.create(job(1))
    for _ in range(8):
        swarm.quiet()
        swarm.update(job_id, job(1))
    swarm.quiet()
    assert len(swarm.tasks(job_id)) == 5
    assert {task.desired for task in swarm.tasks(job_id)} == {TaskState.COMPLETE}
    swarm.check()


def test_a_new_run_tries_slots_that_gave_up() -> None:
    swarm, job_id = lasting(job(1, 1, RestartPolicy(delay=0, max_attempts=1)))
    for _ in range(2):
        end(swarm, live(swarm, job_id)[0], TaskState.FAILED)
    assert live(swarm, job_id) == []
    swarm.update(job_id, swarm.service(job_id).spec)
    swarm.quiet()
    assert slots(live(swarm, job_id)) == [0]
    assert not swarm.state.given_up
    swarm.check()


def test_what_failed_as_a_new_run_began_is_not_restarted() -> None:
    swarm, job_id = lasting(job(2, 1))
    failed = live(swarm, job_id)[0]
    swarm.report(failed, TaskState.FAILED)
    swarm.update(job_id, job(2, 1))
    # whichever plan comes first
    assert not PLANS["restarts"](swarm.state, job_id, swarm.now, NumberedIds("probe")).commands
    swarm.quiet()
    assert failed.id not in swarm.state.tasks
    assert len(live(swarm, job_id)) == 1
    swarm.check()


def test_another_number_at_once_in_the_midst_of_a_run_is_a_run_of_its_own() -> None:
    swarm, job_id = lasting(job(4, 2))
    end(swarm, live(swarm, job_id)[0])
    assert completed(swarm, job_id) == 1
    for at_once in (1, 3):
        swarm.update(job_id, job(4, at_once))
        swarm.quiet()
        assert completed(swarm, job_id) == 0
        assert slots(live(swarm, job_id)) == list(range(at_once))
    while tasks := live(swarm, job_id):
        assert len(tasks) <= 3
        end(swarm, tasks[-1])
    assert completed(swarm, job_id) == 4
    swarm.check()


def test_a_job_that_is_scaled_up_runs_all_of_its_slots_again() -> None:
    swarm = CoreSwarm()
    job_id = swarm.create(job(2))
    swarm.quiet()
    swarm.update(job_id, job(3))
    swarm.quiet()
    assert completed(swarm, job_id) == 3
    present = swarm.service(job_id).spec_version
    assert slots([task for task in swarm.tasks(job_id) if task.origin.spec_version == present]) == [0, 1, 2]
    swarm.check()


def test_a_slot_is_used_again_while_what_ran_there_still_stops_and_only_by_one() -> None:
    swarm, job_id = lasting(job(4, 2))
    stopping = [task for task in live(swarm, job_id) if task.node_id == "node-1"]
    swarm.stuck |= dict.fromkeys(task.id for task in stopping)
    swarm.avail("node-1", Availability.DRAIN)
    swarm.quiet()
    assert len(stopping) == 1
    wanted = [task for task in live(swarm, job_id) if task.desired is not TaskState.SHUTDOWN]
    assert slots(wanted) == [0, 1]
    (again,) = [task for task in wanted if task.slot == stopping[0].slot]
    assert (again.desired, again.origin.replaces) == (TaskState.READY, stopping[0].id)
    swarm.stuck.clear()
    swarm.quiet()
    assert swarm.state.tasks[again.id].state is TaskState.RUNNING
    swarm.check()


def test_slots_that_fail_and_complete_in_any_order_never_make_more_than_the_total() -> None:
    swarm, job_id = lasting(job(5, 3, RestartPolicy(delay=0)))
    done = 0
    for turn in range(20):
        tasks = live(swarm, job_id)
        if not tasks:
            break
        assert len(slots(tasks)) == len({*slots(tasks)}) == min(3, 5 - done)
        failed = turn % 3 == 0
        end(swarm, tasks[turn % len(tasks)], TaskState.FAILED if failed else TaskState.COMPLETE)
        done += not failed
    ended = [task for task in swarm.tasks(job_id) if task.state is TaskState.COMPLETE]
    assert slots(ended) == [0, 1, 2, 3, 4]
    swarm.check()


def test_a_lower_total_begins_anew_with_fewer() -> None:
    swarm, job_id = lasting(job(5, 5))
    swarm.update(job_id, job(2, 5))
    swarm.quiet()
    assert slots(live(swarm, job_id)) == [0, 1]
    swarm.check()


def test_a_slot_on_a_drained_node_is_run_elsewhere() -> None:
    swarm, job_id = lasting(job(2))
    moved = [task for task in live(swarm, job_id) if task.node_id == "node-1"]
    swarm.avail("node-1", Availability.DRAIN)
    swarm.advance(30)
    assert slots(live(swarm, job_id)) == [0, 1]
    assert {task.node_id for task in live(swarm, job_id)} == {"node-2"}
    assert {swarm.state.tasks[task.id].desired for task in moved} == {TaskState.SHUTDOWN}
    swarm.check()


@pytest.mark.parametrize("condition", ["any", "none"])
def test_a_slot_on_a_node_that_left_is_run_elsewhere(condition: str) -> None:
    swarm, job_id = lasting(job(2, restart=RestartPolicy(condition=condition)))
    swarm.submit(RemoveNode(NodeId("node-2"), force=True))
    swarm.advance(30)
    assert slots(live(swarm, job_id)) == [0, 1]
    assert {task.node_id for task in live(swarm, job_id)} == {"node-1"}
    swarm.check()


def test_a_slot_on_a_node_that_is_down_is_run_elsewhere_after_the_delay() -> None:
    swarm, job_id = lasting(job(2))
    swarm.observe("node-1", NodeState.DOWN, "heartbeat failure")
    swarm.advance(30)
    assert slots(live(swarm, job_id)) == [0, 1]
    assert {task.node_id for task in live(swarm, job_id)} == {"node-2"}
    swarm.check()


def test_removing_a_job_leaves_nothing() -> None:
    swarm, job_id = lasting(job(4, 2))
    end(swarm, live(swarm, job_id)[0])
    swarm.submit(RemoveService(job_id))
    swarm.advance(30)
    assert swarm.tasks(job_id) == []
    swarm.check()


def lines_of_a_step(swarm: CoreSwarm, job_id: ServiceId) -> int:
    """Return how many lines of Python the plan runs that follows one completion."""
    swarm.report(live(swarm, job_id)[0], TaskState.COMPLETE)
    lines = 0

    def count(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    gc.disable()  # what the garbage of other tests does when it is found is no line of the plan
    sys.settrace(count)
    try:
        plan = PLANS["jobs"](swarm.state, job_id, swarm.now, NumberedIds("probe"))
    finally:
        sys.settrace(before)
        gc.enable()
    assert [len(command.task_ids) for command in plan.commands if isinstance(command, CreateTasks)] == [1]
    swarm.quiet()
    return lines


def test_a_completion_costs_the_same_however_many_there_were() -> None:
    swarm, job_id = lasting(job(1_000, 10))
    early = lines_of_a_step(swarm, job_id)
    while completed(swarm, job_id) < 900:
        for task in live(swarm, job_id):
            swarm.report(task, TaskState.COMPLETE)
        swarm.quiet()
    assert lines_of_a_step(swarm, job_id) == early
    swarm.check()
