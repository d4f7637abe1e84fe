"""A global service has one task on each node that is active, ready, and fulfils its constraints; a job runs it once."""

import pytest
from msgspec.structs import replace
from skep.core.commands import ObserveNodes, RemoveNode, RemoveService, UpdateNode
from skep.core.events import TasksCreated
from skep.core.tally import Tally, lack, tally
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NO_SLOT, NodeId, ServiceId
from skep.model.service import Placement, Reservations, ResourceRequirements, RestartPolicy, ServiceSpec
from skep.model.states import Availability, Mode, NodeState, TaskState
from skep.model.task import Task
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm

ZONE_A = Placement(constraints=("node.labels.zone==a",))


def everywhere(
    mode: Mode = Mode.GLOBAL,
    *,
    image: str = "demo",
    placement: Placement | None = None,
    restart: RestartPolicy | None = None,
) -> ServiceSpec:
    spec = service_spec("agent", image, mode=mode, restart=restart)
    return replace(spec, task_template=replace(spec.template, placement=placement))


def begun(spec: ServiceSpec, *, nodes: int = 3) -> tuple[CoreSwarm, ServiceId]:
    """Begin a service whose tasks run until they are said to end."""
    swarm = CoreSwarm(nodes=nodes)
    swarm.lasting["demo"] = None
    agent = swarm.create(spec)
    swarm.quiet()
    return swarm, agent


def nodes_of(swarm: CoreSwarm, agent: ServiceId) -> list[str]:
    """Return where tasks are wanted, in order."""
    return sorted(task.node_id for task in swarm.tasks(agent, wanted=True) if not task.state.terminal)


def on(swarm: CoreSwarm, agent: ServiceId, node_id: str) -> Task:
    """Return the newest task of a node."""
    return [task for task in swarm.tasks(agent) if task.node_id == node_id][-1]


def label(swarm: CoreSwarm, node_id: str, **labels: str) -> None:
    node = swarm.state.nodes[NodeId(node_id)]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels=labels)))


def large(spec: ServiceSpec) -> ServiceSpec:
    """Return `spec` with tasks that want more of a node than it has."""
    reservations = ResourceRequirements(reservations=Reservations(nano_cpus=NANOSECONDS))
    return replace(spec, task_template=replace(spec.template, resources=reservations))


BOTH = pytest.mark.parametrize("mode", [Mode.GLOBAL, Mode.GLOBAL_JOB])


# --- which nodes


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


# --- jobs


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
