"""History is kept per slot, the current task included, as the swarm's limit says (FACTS, chapter 5)."""

import pytest
from msgspec.structs import replace
from skep.core.commands import RemoveService, ReportTasks, UpdateSwarm
from skep.core.events import ROWS_MAX, TasksReaped
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, ServiceId
from skep.model.service import Reservations, ResourceRequirements, RestartPolicy, UpdateConfig
from skep.model.states import TaskState
from skep.model.swarm import DEFAULT_SWARM_SPEC, OrchestrationConfig, SwarmSpec
from skep.model.task import TaskStatus
from skep.testing.core_swarm import CoreSwarm


def limited(limit: int | None) -> SwarmSpec:
    orchestration = OrchestrationConfig(task_history_retention_limit=limit)
    return replace(DEFAULT_SWARM_SPEC, orchestration=orchestration)


def restarted(swarm: CoreSwarm, times: int) -> ServiceId:
    """Run a service whose only task fails so often."""
    web = swarm.create(service_spec("web", "demo", restart=RestartPolicy(delay=0)))
    swarm.quiet()
    for _ in range(times):
        swarm.report(swarm.tasks(web, wanted=True)[0], TaskState.FAILED)
        swarm.quiet()
    return web


@pytest.mark.parametrize(("limit", "kept"), [(5, 5), (3, 3), (1, 1), (0, 1), (None, 5), (-1, 9)])
def test_a_slot_keeps_so_many_tasks_the_current_one_included(limit: int | None, kept: int) -> None:
    swarm = CoreSwarm(spec=limited(limit))
    web = restarted(swarm, 8)
    assert len(swarm.tasks(web)) == kept
    assert swarm.running(web) == 1
    swarm.check()


def test_a_smaller_limit_holds_at_once() -> None:
    swarm = CoreSwarm(spec=limited(5))
    web = restarted(swarm, 8)
    assert swarm.state.cluster is not None
    swarm.submit(UpdateSwarm(swarm.state.cluster.version, limited(2)))
    swarm.quiet()
    assert len(swarm.tasks(web)) == 2
    swarm.check()


def test_the_oldest_go_first() -> None:
    swarm = CoreSwarm(spec=limited(2))
    web = restarted(swarm, 3)
    assert swarm.tasks(web) == sorted(swarm.tasks(web), key=lambda t: t.origin.created)
    assert swarm.tasks(web)[0].id == swarm.tasks(web)[1].origin.replaces
    swarm.check()


def test_a_template_goes_with_the_last_task_that_names_it() -> None:
    swarm = CoreSwarm(spec=limited(1))
    web = swarm.create(service_spec("web", "v1"))
    swarm.quiet()
    swarm.update(web, service_spec("web", "v2"))
    swarm.advance(30)
    assert list(swarm.state.templates[web]) == [swarm.service(web).spec_version]
    swarm.check()


def test_the_last_task_of_a_slot_that_gave_up_is_kept_though_an_older_one_still_stops() -> None:
    swarm = CoreSwarm(nodes=2, spec=limited(1))
    none, start_first = RestartPolicy(condition="none"), UpdateConfig(order="start-first")
    web = swarm.create(service_spec("web", "v1", restart=none, update=start_first))
    swarm.quiet()
    old = swarm.tasks(web)[0]
    swarm.stuck[old.id] = None
    swarm.update(web, service_spec("web", "v2", restart=none, update=start_first))
    swarm.advance(20)
    swarm.report(swarm.tasks(web, wanted=True)[0], TaskState.FAILED)
    swarm.advance(20)
    assert list(swarm.state.given_up[web].values()) == [swarm.tasks(web)[-1].id]
    swarm.scale(web, 0)
    swarm.stuck.clear()
    swarm.advance(20)
    assert not swarm.tasks(web, wanted=True)
    swarm.check()


def test_what_a_job_completed_in_its_present_run_is_kept_whatever_the_limit() -> None:
    swarm = CoreSwarm(spec=limited(1))
    job = swarm.create(service_spec("job", "demo", mode="replicated-job", replicas=3))
    swarm.advance(30)
    assert sorted(task.slot for task in swarm.tasks(job)) == [0, 1, 2]
    swarm.check()


def test_what_a_job_completed_in_older_runs_is_history() -> None:
    swarm = CoreSwarm(spec=limited(2))
    job = swarm.create(service_spec("job", "demo", mode="replicated-job", replicas=2))
    for _ in range(4):
        swarm.advance(30)
        swarm.update(job, swarm.service(job).spec)
    swarm.advance(30)
    assert sorted(task.slot for task in swarm.tasks(job)) == [0, 0, 1, 1]
    present = swarm.service(job).spec_version
    assert sum(task.origin.spec_version == present for task in swarm.tasks(job)) == 2
    swarm.check()


def test_what_completed_is_kept_while_something_older_still_stops() -> None:
    swarm = CoreSwarm(spec=limited(1), nodes=1)
    swarm.lasting["demo"] = None
    job = swarm.create(service_spec("job", "demo", mode="replicated-job"))
    swarm.quiet()
    swarm.stuck[swarm.tasks(job)[0].id] = None
    swarm.update(job, swarm.service(job).spec)
    swarm.quiet()
    stuck, present = swarm.tasks(job)
    swarm.report(present, TaskState.COMPLETE)
    swarm.quiet()
    assert [task.id for task in swarm.tasks(job)] == [stuck.id, present.id]
    swarm.check()


def test_what_still_stops_is_not_forgotten_however_much_history_there_is() -> None:
    swarm = CoreSwarm(spec=limited(1), nodes=1)
    web = swarm.create(service_spec("web", "v1"))
    swarm.quiet()
    stuck = swarm.tasks(web)[0]
    swarm.stuck[stuck.id] = None
    for image in ("v2", "v3"):
        swarm.update(web, service_spec("web", image))
        swarm.advance(90)
    assert [task.id for task in swarm.tasks(web, wanted=False)] == [stuck.id]
    swarm.report(stuck, TaskState.SHUTDOWN)
    swarm.quiet()
    assert swarm.tasks(web, wanted=False) == []
    swarm.check()


def test_what_stopped_of_a_removed_service_goes_at_once_and_the_rest_when_it_stops() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", replicas=2, restart=RestartPolicy(condition="none")))
    swarm.quiet()
    dead, alive = swarm.tasks(web)
    swarm.report(dead, TaskState.FAILED)
    swarm.quiet()
    swarm.stuck[alive.id] = None
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert [(task.id, task.desired) for task in swarm.tasks(web)] == [(alive.id, TaskState.REMOVE)]
    swarm.stuck.clear()
    swarm.quiet()
    assert swarm.tasks(web) == []
    swarm.check()


@pytest.mark.parametrize("how", ["removed", "scaled away"])
def test_tasks_that_no_node_was_given_go_at_once(how: str) -> None:
    swarm = CoreSwarm(nodes=0)
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.quiet()
    assert [task.state for task in swarm.tasks(web)] == [TaskState.PENDING] * 3
    if how == "removed":
        swarm.submit(RemoveService(web))
    else:
        swarm.scale(web, 0)
    swarm.settle()
    assert swarm.tasks(web) == []
    swarm.check()


def test_more_than_a_record_holds_is_forgotten_a_record_at_a_time() -> None:
    swarm = CoreSwarm(nodes=1)
    web = swarm.create(service_spec("web", "demo", replicas=ROWS_MAX + 10))
    swarm.settle()
    swarm.submit(RemoveService(web))
    swarm.settle()
    for _ in range(2):
        rows = [task for task in swarm.tasks(web) if not task.state.terminal][:ROWS_MAX]
        status = TaskStatus(TaskState.SHUTDOWN, swarm.now, "shutdown")
        swarm.submit(ReportTasks(NodeId("node-1"), tuple(task.id for task in rows), (status,) * len(rows)))
    swarm.settle()
    assert [len(e.task_ids) for e in swarm.events(TasksReaped) if isinstance(e, TasksReaped)] == [ROWS_MAX, 10]
    assert swarm.tasks(web) == []


def waiting_on_its_node(image: str = "v1") -> tuple[CoreSwarm, ServiceId]:
    """Have a service on each node whose tasks want more of it than it has: none is ever confirmed there."""
    swarm = CoreSwarm(nodes=1)
    spec = service_spec("web", image, mode="global")
    large = ResourceRequirements(reservations=Reservations(nano_cpus=NANOSECONDS))
    web = swarm.create(replace(spec, task_template=replace(spec.template, resources=large)))
    swarm.quiet()
    assert [task.state for task in swarm.tasks(web)] == [TaskState.PENDING]
    return swarm, web


def test_a_task_that_its_node_never_heard_of_goes_at_once_with_its_service() -> None:
    swarm, web = waiting_on_its_node()
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert swarm.tasks(web) == []
    swarm.check()


def test_the_successor_of_a_task_that_its_node_never_heard_of_starts() -> None:
    swarm, web = waiting_on_its_node()
    swarm.update(web, service_spec("web", "v2", mode="global"))
    swarm.advance(30)
    assert swarm.running(web) == 1
    swarm.check()
