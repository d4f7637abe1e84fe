"""What counts as a failure of an update: what it made, while it is monitored, of those that it has to update.

As in SwarmKit's `api/types.proto`, at `UpdateConfig.Monitor` and `MaxFailureRatio`.
"""

from typing import Any

import pytest
from msgspec.structs import replace
from skep.core.commands import StartEngine
from skep.core.events import TasksCreated
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, ServiceId
from skep.model.service import RestartPolicy, ServiceSpec, UpdateConfig
from skep.model.states import TaskState, UpdateState
from skep.model.task import Task
from skep.testing.core_swarm import CoreSwarm

SECOND = NANOSECONDS


def spec(image: str, *, replicas: int = 3, restart: RestartPolicy | None = None, **update: Any) -> ServiceSpec:
    update.setdefault("parallelism", 1)
    return service_spec("web", image, replicas=replicas, restart=restart, update=UpdateConfig(**update))


def updated(*, replicas: int = 3, **update: Any) -> tuple[CoreSwarm, ServiceId]:
    """Begin an update from v1 to v2; its first tasks run."""
    swarm = CoreSwarm()
    web = swarm.create(spec("v1", replicas=replicas, **update))
    swarm.quiet()
    swarm.update(web, spec("v2", replicas=replicas, **update))
    swarm.quiet()
    return swarm, web


def state_of(swarm: CoreSwarm, web: ServiceId) -> UpdateState:
    status = swarm.service(web).update_status
    assert status is not None
    return status.state


def of_present(swarm: CoreSwarm, web: ServiceId) -> list[Task]:
    present = swarm.service(web).spec_version
    return [task for task in swarm.tasks(web, wanted=True) if task.origin.spec_version == present]


@pytest.mark.parametrize(
    ("after", "state"), [(0.0, UpdateState.PAUSED), (5.0, UpdateState.PAUSED), (5.1, UpdateState.UPDATING)]
)
def test_a_task_that_ends_after_its_monitor_is_no_failure_of_the_update(after: float, state: UpdateState) -> None:
    swarm, web = updated(delay=60 * SECOND, monitor=5 * SECOND)
    swarm.advance(after)
    swarm.report(of_present(swarm, web)[0], TaskState.FAILED)
    swarm.advance(20)
    assert state_of(swarm, web) is state
    swarm.check()


def test_what_follows_a_task_that_outlived_its_monitor_is_the_restart_policys() -> None:
    swarm, web = updated(delay=60 * SECOND, monitor=5 * SECOND)
    swarm.advance(10)
    for _ in range(3):
        swarm.report(of_present(swarm, web)[0], TaskState.FAILED)
        swarm.advance(6)
    assert state_of(swarm, web) is UpdateState.UPDATING
    swarm.advance(300)
    assert state_of(swarm, web) is UpdateState.COMPLETED
    assert swarm.state.outcomes[web][-1].failed == ()
    swarm.check()


def test_a_start_begins_the_monitor_anew() -> None:
    """Time without an engine does not count, and who knows how much of the rest there was."""
    swarm, web = updated(delay=60 * SECOND, monitor=5 * SECOND)
    swarm.advance(4)
    swarm.submit(StartEngine("again"))
    swarm.advance(4)
    swarm.report(of_present(swarm, web)[0], TaskState.FAILED)
    swarm.quiet()
    assert state_of(swarm, web) is UpdateState.PAUSED
    swarm.check()


def test_the_delay_follows_a_task_that_failed_too() -> None:
    swarm = CoreSwarm()
    swarm.broken["bad"] = "task: non-zero exit (1)"
    slow: dict[str, Any] = {"failure_action": "continue", "delay": 10 * SECOND, "restart": RestartPolicy("none")}
    web = swarm.create(spec("v1", **slow))
    swarm.quiet()
    began, after = swarm.now, swarm.state.position
    swarm.update(web, spec("bad", **slow))
    swarm.advance(60)
    made = [
        r.time - began for r in swarm.records if r.position > after for e in r.events if isinstance(e, TasksCreated)
    ]
    assert made == [0, 10 * SECOND, 20 * SECOND]
    status = swarm.service(web).update_status
    assert status is not None
    assert status.completed_at == began + (10 + 10 + 10 + 5) * SECOND
    swarm.check()


def test_after_the_last_failure_that_is_suffered_the_others_are_monitored_on() -> None:
    swarm, web = updated(parallelism=0, monitor=5 * SECOND, max_failure_ratio=0.4)
    first, second, _ = of_present(swarm, web)
    swarm.advance(3)
    swarm.report(first, TaskState.FAILED)
    swarm.advance(1)
    swarm.report(second, TaskState.FAILED)
    swarm.quiet()
    assert state_of(swarm, web) is UpdateState.PAUSED
    swarm.check()


def test_the_ratio_is_of_those_that_are_left_to_update() -> None:
    """Paused after one of three, two are left: one failure of them is more than 0.4."""
    swarm, web = updated(delay=60 * SECOND, max_failure_ratio=0.4)
    swarm.update(web, spec("v2", parallelism=0, max_failure_ratio=0.4))  # goes on
    swarm.quiet()
    newest = max(of_present(swarm, web), key=lambda task: task.origin.created)
    swarm.report(newest, TaskState.FAILED)
    swarm.quiet()
    assert state_of(swarm, web) is UpdateState.PAUSED
    swarm.check()


def test_a_failure_of_an_old_task_is_none_of_the_update() -> None:
    swarm, web = updated(delay=60 * SECOND)
    old = next(task for task in swarm.tasks(web, wanted=True) if task not in of_present(swarm, web))
    swarm.report(old, TaskState.FAILED)
    swarm.advance(10)
    assert state_of(swarm, web) is UpdateState.UPDATING
    assert swarm.state.updates[web].failed == {}
    swarm.check()


def test_what_is_scaled_away_by_the_same_update_is_not_replaced_before() -> None:
    swarm = CoreSwarm()
    web = swarm.create(spec("v1", replicas=5, parallelism=0))
    swarm.quiet()
    after = swarm.state.position
    swarm.update(web, spec("v2", replicas=2, parallelism=0))
    swarm.quiet()
    made = [event for event in swarm.events(TasksCreated, after=after) if isinstance(event, TasksCreated)]
    assert [len(event.task_ids) for event in made] == [2]
    assert swarm.state.updates[web].seats == 2
    assert swarm.slots(web) == [1, 2]
    swarm.check()


def test_a_rollback_to_fewer_replicas_reckons_with_those_alone() -> None:
    swarm = CoreSwarm()
    two = spec("v1", replicas=2)
    web = swarm.create(replace(two, rollback_config=UpdateConfig(parallelism=0, max_failure_ratio=0.4)))
    swarm.quiet()
    swarm.broken["bad"] = "task: non-zero exit (1)"
    bad = spec("bad", replicas=5, parallelism=0, failure_action="rollback")
    swarm.update(web, replace(bad, rollback_config=UpdateConfig(parallelism=0, max_failure_ratio=0.4)))
    swarm.quiet()
    assert swarm.state.updates[web].seats == 2
    swarm.advance(60)
    assert state_of(swarm, web) is UpdateState.ROLLBACK_COMPLETED
    assert swarm.running(web) == 2
    swarm.check()
