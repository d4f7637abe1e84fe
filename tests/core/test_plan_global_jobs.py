"""A global job runs once on each node that fits."""

from skep.core.tally import Tally, tally
from skep.model.ids import NANOSECONDS
from skep.model.service import RestartPolicy
from skep.model.states import Availability, Mode, TaskState
from skep.testing.core_swarm import CoreSwarm

from tests.core.global_services import begun, everywhere, nodes_of, on


def test_a_global_job_runs_once_on_each_node() -> None:
    swarm = CoreSwarm(nodes=3)
    agent = swarm.create(everywhere(Mode.GLOBAL_JOB))
    swarm.advance(60)
    assert [task.state for task in swarm.tasks(agent)] == [TaskState.COMPLETE] * 3
    assert tally(swarm.state, swarm.service(agent)) == Tally(0, 0, 3)
    swarm.avail("node-2", Availability.DRAIN)
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.advance(60)
    assert len(swarm.tasks(agent)) == 3
    swarm.check()


def test_an_update_runs_a_global_job_again_and_removes_what_was_before() -> None:
    """Completed tasks of the run before are removed too (recorded in scenario 42)."""
    swarm = CoreSwarm(nodes=2)
    agent = swarm.create(everywhere(Mode.GLOBAL_JOB))
    swarm.quiet()
    before = swarm.tasks(agent)
    swarm.update(agent, everywhere(Mode.GLOBAL_JOB))
    swarm.quiet()
    assert not any(task.id in swarm.state.tasks for task in before)
    assert tally(swarm.state, swarm.service(agent)) == Tally(0, 0, 2)
    status = swarm.service(agent).job
    assert status is not None
    assert status.iteration == 1
    swarm.check()


def test_an_update_removes_what_lives_of_the_run_before() -> None:
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB))
    before = swarm.tasks(agent)
    swarm.update(agent, everywhere(Mode.GLOBAL_JOB))
    swarm.settle()
    assert {swarm.state.tasks[task.id].desired for task in before} == {TaskState.REMOVE}
    swarm.quiet()
    assert len(swarm.tasks(agent)) == swarm.running(agent) == 3
    swarm.check()


def test_a_failing_task_of_a_global_job_is_restarted_on_its_node() -> None:
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB, restart=RestartPolicy(delay=NANOSECONDS)))
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.advance(2)
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    assert swarm.running(agent) == 3
    swarm.check()


def test_a_failing_task_of_a_global_job_without_a_condition_is_not_restarted() -> None:
    """Unlike a replicated job's (recorded in scenario 42)."""
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB, restart=RestartPolicy(condition="none")))
    swarm.report(on(swarm, agent, "node-2"), TaskState.FAILED)
    swarm.advance(60)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    assert tally(swarm.state, swarm.service(agent)) == Tally(2, 2)
    swarm.check()


def test_a_task_of_a_global_job_ends_with_its_drained_node_and_runs_again() -> None:
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB))
    swarm.avail("node-2", Availability.DRAIN)
    swarm.advance(30)
    assert nodes_of(swarm, agent) == ["node-1", "node-3"]
    swarm.avail("node-2", Availability.ACTIVE)
    swarm.quiet()
    assert nodes_of(swarm, agent) == ["node-1", "node-2", "node-3"]
    swarm.check()


def test_what_a_global_job_completed_is_not_forgotten() -> None:
    """However small the history limit, and however often it failed before."""
    swarm, agent = begun(everywhere(Mode.GLOBAL_JOB, restart=RestartPolicy(delay=0)), nodes=1)
    for _ in range(8):
        swarm.report(on(swarm, agent, "node-1"), TaskState.FAILED)
        swarm.quiet()
    swarm.report(on(swarm, agent, "node-1"), TaskState.COMPLETE)
    swarm.advance(60)
    assert tally(swarm.state, swarm.service(agent)) == Tally(0, 0, 1)
    assert len(swarm.tasks(agent)) == 5
    swarm.check()
