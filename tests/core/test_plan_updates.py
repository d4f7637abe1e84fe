"""Updates go through the slots a few at a time, and say how they stand in recorded words (FACTS, chapter 5)."""

from typing import Any

import pytest
from skep.core.events import TasksCreated
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, ServiceId
from skep.model.service import RestartPolicy, ServiceSpec, UpdateConfig, UpdateStatus
from skep.model.states import TaskState, UpdateState
from skep.testing.core_swarm import CoreSwarm

SECOND = NANOSECONDS


def spec(image: str, *, replicas: int = 3, **update: Any) -> ServiceSpec:
    """Return a spec; as in the API, an update config that says no parallelism means all at once, and none means one."""
    return service_spec("web", image, replicas=replicas, update=UpdateConfig(**update) if update else None)


def running(image: str = "v1", *, replicas: int = 3, **update: Any) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(spec(image, replicas=replicas, **update))
    swarm.quiet()
    return swarm, web


def status(swarm: CoreSwarm, web: ServiceId) -> UpdateStatus:
    found = swarm.service(web).update_status
    assert found is not None
    return found


def images(swarm: CoreSwarm, web: ServiceId) -> list[str]:
    """Return what runs, sorted."""
    specs = [swarm.state.template_of(t).spec.container_spec for t in swarm.tasks(web) if t.state is TaskState.RUNNING]
    return sorted(each.image for each in specs if each)


def batches(swarm: CoreSwarm, after: int) -> list[int]:
    return [len(e.task_ids) for e in swarm.events(TasksCreated, after=after) if isinstance(e, TasksCreated)]


@pytest.mark.parametrize(("parallelism", "sizes"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (0, [4]), (None, [4]), (9, [4])])
def test_so_many_at_a_time(parallelism: int | None, sizes: list[int]) -> None:
    swarm, web = running(replicas=4)
    before = swarm.state.position
    swarm.update(web, spec("v2", replicas=4, parallelism=parallelism, delay=SECOND))
    swarm.advance(60)
    assert batches(swarm, before) == sizes
    assert images(swarm, web) == ["v2"] * 4
    swarm.check()


def test_the_delay_follows_every_task_and_then_the_monitor() -> None:
    """3 tasks, delay 2 s: completed at last running + 2 + 5 s."""
    swarm, web = running()
    began = swarm.now
    swarm.update(web, spec("v2", parallelism=1, delay=2 * SECOND))
    swarm.advance(60)
    done = status(swarm, web)
    assert (done.state, done.message) == (UpdateState.COMPLETED, "update completed")
    assert done.started_at == began
    assert done.completed_at == began + (2 + 2 + 2 + 5) * SECOND
    swarm.check()


def test_while_it_goes_it_says_so() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2", parallelism=1, delay=2 * SECOND))
    swarm.advance(1)
    assert (status(swarm, web).state, status(swarm, web).message) == (UpdateState.UPDATING, "update in progress")
    assert status(swarm, web).completed_at == 0
    swarm.check()


def test_stop_first_ends_the_old_task_and_prepares_the_new_one_in_the_same_record() -> None:
    swarm, web = running(replicas=1)
    old = swarm.tasks(web)[0]
    swarm.update(web, spec("v2", replicas=1))
    swarm.settle()
    new = swarm.tasks(web, wanted=True)[0]
    assert swarm.state.tasks[old.id].desired is TaskState.SHUTDOWN
    assert swarm.state.tasks[old.id].version == new.origin.created
    assert new.desired is TaskState.READY
    assert new.origin.replaces == old.id
    swarm.report(old, TaskState.SHUTDOWN)
    swarm.settle()
    assert swarm.state.tasks[new.id].desired is TaskState.RUNNING
    swarm.check()


def test_start_first_ends_the_old_task_when_the_new_one_runs() -> None:
    swarm, web = running(replicas=1)
    old = swarm.tasks(web)[0]
    swarm.update(web, spec("v2", replicas=1, order="start-first"))
    swarm.settle()
    new = next(t for t in swarm.tasks(web, wanted=True) if t.id != old.id)
    assert new.desired is TaskState.RUNNING
    assert swarm.state.tasks[old.id].desired is TaskState.RUNNING
    swarm.report(new, TaskState.RUNNING)
    assert swarm.running(web) == 2
    swarm.settle()
    assert swarm.state.tasks[old.id].desired is TaskState.SHUTDOWN
    swarm.advance(30)
    assert images(swarm, web) == ["v2"]
    swarm.check()


def failing(action: str, **update: Any) -> tuple[CoreSwarm, ServiceId]:
    """Update to what fails; the task that failed first is in the records."""
    swarm, web = running(replicas=3)
    swarm.broken["bad"] = "task: non-zero exit (1)"
    swarm.update(web, spec("bad", failure_action=action, parallelism=1, **update))
    return swarm, web


def first_failed(swarm: CoreSwarm, web: ServiceId) -> str:
    return next(t.id for t in swarm.tasks(web) if t.state is TaskState.FAILED)


@pytest.mark.parametrize("action", ["", "pause"])
def test_a_failure_pauses_the_update_and_leaves_the_other_slots_alone(action: str) -> None:
    swarm, web = failing(action)
    swarm.quiet()
    failed = first_failed(swarm, web)
    swarm.advance(8)
    assert status(swarm, web).state is UpdateState.PAUSED
    assert status(swarm, web).message == f"update paused due to failure or early termination of task {failed}"
    assert status(swarm, web).completed_at == 0
    assert images(swarm, web) == ["v1", "v1"]
    swarm.check()


def test_a_failed_slot_goes_on_being_restarted_with_the_new_spec() -> None:
    swarm, web = failing("pause")
    swarm.advance(11)
    assert len([t for t in swarm.tasks(web) if t.state is TaskState.FAILED]) >= 2
    swarm.check()


def test_a_later_update_resumes_with_the_newest_spec() -> None:
    swarm, web = failing("pause")
    swarm.advance(1)
    swarm.update(web, spec("v3"))
    swarm.advance(60)
    assert images(swarm, web) == ["v3"] * 3
    assert status(swarm, web).state is UpdateState.COMPLETED
    swarm.check()


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_continue_goes_on_and_ends_completed_though_tasks_fail(order: str) -> None:
    swarm, web = failing("continue", order=order)
    swarm.advance(120)
    assert status(swarm, web).state is UpdateState.COMPLETED
    # started first, the new ones never ran, so the old ones go on
    assert images(swarm, web) == (["v1"] * 3 if order == "start-first" else [])
    swarm.check()


def test_rollback_goes_back_by_itself_and_says_why() -> None:
    swarm, web = failing("rollback")
    swarm.quiet()
    failed = first_failed(swarm, web)
    going = status(swarm, web)
    assert (going.state, going.message) == (
        UpdateState.ROLLBACK_STARTED,
        f"update rolled back due to failure or early termination of task {failed}",
    )
    swarm.advance(60)
    assert (status(swarm, web).state, status(swarm, web).message) == (
        UpdateState.ROLLBACK_COMPLETED,
        "rollback completed",
    )
    assert images(swarm, web) == ["v1"] * 3
    swarm.check()


def test_so_many_failures_as_the_ratio_says_are_suffered() -> None:
    swarm, web = running(replicas=3)
    swarm.update(web, spec("v2", max_failure_ratio=0.4, parallelism=0))
    swarm.quiet()
    swarm.report(swarm.tasks(web, wanted=True)[0], TaskState.FAILED)
    swarm.quiet()
    assert status(swarm, web).state is UpdateState.UPDATING
    swarm.report(swarm.tasks(web, wanted=True)[0], TaskState.FAILED)
    swarm.quiet()
    assert status(swarm, web).state is UpdateState.PAUSED
    swarm.check()


def test_with_continue_a_slot_whose_new_task_failed_for_good_is_not_tried_again() -> None:
    """Its old task goes on: a task that is started first must have run before the one it replaces is stopped."""
    swarm = CoreSwarm(nodes=2)
    swarm.broken["bad"] = "task: non-zero exit (1)"
    none, on = RestartPolicy(condition="none"), UpdateConfig(order="start-first", failure_action="continue")
    web = swarm.create(service_spec("web", "v1", replicas=3, restart=none, update=on))
    swarm.quiet()
    swarm.update(web, service_spec("web", "bad", replicas=3, restart=none, update=on))
    swarm.advance(60)
    assert status(swarm, web).state is UpdateState.COMPLETED
    assert images(swarm, web) == ["v1"] * 3
    assert len([t for t in swarm.tasks(web) if t.state is TaskState.FAILED]) == 3
    swarm.check()


@pytest.mark.parametrize(
    "changed",
    [
        service_spec("web", "v1", replicas=3, labels={"a": "b"}),
        service_spec("web", "v1", replicas=3, update=UpdateConfig(parallelism=2)),
        service_spec("web", "v1", replicas=3),
    ],
    ids=["labels", "update config", "nothing"],
)
def test_what_is_no_part_of_the_template_replaces_nothing_and_clears_the_status(changed: ServiceSpec) -> None:
    swarm, web = running()
    swarm.update(web, spec("v1", parallelism=0))
    tasks = {t.id for t in swarm.tasks(web)}
    swarm.update(web, changed)
    swarm.advance(30)
    assert {t.id for t in swarm.tasks(web)} == tasks
    assert swarm.service(web).update_status is None
    swarm.check()


def test_a_second_update_replaces_the_tasks_of_the_one_between() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2", parallelism=1, delay=10 * SECOND))
    swarm.advance(1)
    assert images(swarm, web) == ["v1", "v1", "v2"]
    swarm.update(web, spec("v3"))
    swarm.advance(60)
    assert images(swarm, web) == ["v3"] * 3
    swarm.check()


def test_going_back_by_hand_leaves_alone_the_tasks_that_still_bear_the_old_template() -> None:
    swarm, web = running()
    before = {t.id for t in swarm.tasks(web)}
    swarm.update(web, spec("v2", parallelism=1, delay=10 * SECOND))
    swarm.advance(1)
    swarm.update(web, spec("v1"))
    swarm.advance(60)
    assert len(before & {t.id for t in swarm.tasks(web, wanted=True)}) == 2
    assert images(swarm, web) == ["v1"] * 3
    swarm.check()


def test_a_task_that_gave_up_is_tried_again_by_an_update() -> None:
    swarm = CoreSwarm(nodes=1)
    none = RestartPolicy(condition="none")
    web = swarm.create(service_spec("web", "v1", restart=none))
    swarm.quiet()
    swarm.report(swarm.tasks(web)[0], TaskState.COMPLETE)
    swarm.quiet()
    swarm.update(web, service_spec("web", "v2", restart=none))
    swarm.advance(30)
    assert images(swarm, web) == ["v2"]
    assert status(swarm, web).state is UpdateState.COMPLETED
    swarm.check()
