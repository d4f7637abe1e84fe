"""Going back is a new fact that says what it goes back to (FACTS, chapter 5)."""

import pytest
from msgspec.structs import replace
from skep.core.commands import CreateSecret, RemoveSecret, RollbackService
from skep.core.events import ServiceRolledBack
from skep.core.rejected import Code, Rejected
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, SecretId, ServiceId
from skep.model.secret import SecretSpec
from skep.model.service import PortConfig, RestartPolicy, UpdateConfig
from skep.model.states import TaskState, UpdateState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def updated() -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "v1", replicas=2))
    swarm.quiet()
    swarm.update(web, service_spec("web", "v2", replicas=2))
    swarm.advance(30)
    return swarm, web


def back(swarm: CoreSwarm, web: ServiceId) -> None:
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(30)


def image(swarm: CoreSwarm, web: ServiceId) -> str:
    return swarm.service(web).spec.container.image


def test_a_rollback_gives_the_previous_spec_and_says_where_it_was_set() -> None:
    swarm, web = updated()
    created = next(r.position for r in swarm.records if any(e.name.startswith("service.created") for e in r.events))
    back(swarm, web)
    (event,) = swarm.events(ServiceRolledBack)
    assert isinstance(event, ServiceRolledBack)
    assert event.to == created
    assert image(swarm, web) == "v1"
    swarm.check()


def test_a_rollback_by_hand_says_so_and_completes() -> None:
    swarm, web = updated()
    swarm.submit(RollbackService(web, swarm.service(web).version))
    begun = swarm.service(web).update_status
    assert begun is not None
    assert (begun.state, begun.message) == (UpdateState.ROLLBACK_STARTED, "manually requested rollback")
    swarm.advance(30)
    done = swarm.service(web).update_status
    assert done is not None
    assert (done.state, done.message) == (UpdateState.ROLLBACK_COMPLETED, "rollback completed")
    assert done.completed_at
    swarm.check()


def test_a_rollback_twice_is_a_redo() -> None:
    swarm, web = updated()
    back(swarm, web)
    back(swarm, web)
    assert image(swarm, web) == "v2"
    back(swarm, web)
    assert image(swarm, web) == "v1"
    assert swarm.running(web) == 2
    swarm.check()


def test_an_automatic_rollback_leaves_no_previous_spec() -> None:
    swarm, web = updated()
    swarm.broken["bad"] = "no such command"
    swarm.update(web, service_spec("web", "bad", replicas=2, update=UpdateConfig(failure_action="rollback")))
    swarm.advance(30)
    assert image(swarm, web) == "v2"
    assert swarm.service(web).previous_spec is None
    with raising(Rejected) as caught:
        swarm.submit(RollbackService(web, swarm.service(web).version))
    assert isinstance(caught.error, Rejected)
    assert str(caught.error) == f"service {web} does not have a previous spec"
    assert caught.error.code is Code.FAILED_PRECONDITION
    swarm.check()


def test_a_rollback_of_a_scale_restores_the_count_and_completes_at_once() -> None:
    swarm = CoreSwarm()
    web = swarm.create(service_spec("web", "v1", replicas=1))
    swarm.quiet()
    swarm.scale(web, 3)
    swarm.advance(1)
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.quiet()
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.ROLLBACK_COMPLETED
    assert swarm.running(web) == 1
    swarm.check()


def test_a_failing_rollback_pauses() -> None:
    swarm, web = updated()
    swarm.broken["v1"] = "gone bad"
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(2)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.ROLLBACK_PAUSED
    assert status.message.startswith("rollback paused due to failure or early termination of task ")
    swarm.check()


def failing_back(action: str, ratio: float = 0.0) -> tuple[CoreSwarm, ServiceId]:
    """Roll back by hand to what fails now; what the spec gone back to says of rollbacks holds."""
    swarm = CoreSwarm()
    config = UpdateConfig(parallelism=1, failure_action=action, max_failure_ratio=ratio)
    once = RestartPolicy(condition="none")
    web = swarm.create(replace(service_spec("web", "v1", replicas=2, restart=once), rollback_config=config))
    swarm.quiet()
    swarm.update(web, service_spec("web", "v2", replicas=2))
    swarm.advance(30)
    swarm.broken["v1"] = "gone bad"
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(30)
    return swarm, web


@pytest.mark.parametrize(
    ("action", "ratio", "ends"),
    [
        ("pause", 0.0, UpdateState.ROLLBACK_PAUSED),
        ("continue", 0.0, UpdateState.ROLLBACK_COMPLETED),
        ("rollback", 0.0, UpdateState.ROLLBACK_PAUSED),  # a rollback is never rolled back
        ("pause", 1.0, UpdateState.ROLLBACK_COMPLETED),
    ],
)
def test_a_rollback_fails_as_its_own_config_says(action: str, ratio: float, ends: UpdateState) -> None:
    swarm, web = failing_back(action, ratio)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is ends
    assert image(swarm, web) == "v1"
    (_, outcome) = swarm.state.outcomes[web]
    assert (outcome.state, outcome.rollback) == ("paused" if ends is UpdateState.ROLLBACK_PAUSED else "completed", True)
    assert len(outcome.failed) == (1 if ends is UpdateState.ROLLBACK_PAUSED else 2)
    swarm.check()


def test_a_rollback_that_paused_can_be_rolled_back_by_hand() -> None:
    swarm, web = failing_back("pause")
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(30)
    assert image(swarm, web) == "v2"
    assert swarm.running(web) == 2
    assert [(o.state, o.rollback) for o in swarm.state.outcomes[web]] == [
        ("completed", False),
        ("paused", True),
        ("completed", True),
    ]
    swarm.check()


def test_a_rollback_in_the_midst_of_a_rollback_is_a_redo_and_ends_it() -> None:
    swarm = CoreSwarm()
    slow = UpdateConfig(parallelism=1, delay=20 * NANOSECONDS)
    web = swarm.create(replace(service_spec("web", "v1", replicas=3), rollback_config=slow))
    swarm.quiet()
    swarm.update(web, replace(service_spec("web", "v2", replicas=3), rollback_config=slow))
    swarm.advance(10)
    kept = {task.id for task in swarm.tasks(web, wanted=True)}
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(1)
    assert len(kept & {task.id for task in swarm.tasks(web, wanted=True)}) == 2
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(60)
    assert image(swarm, web) == "v2"
    assert len(kept & {task.id for task in swarm.tasks(web, wanted=True)}) == 2
    assert [(o.state, o.rollback, o.made) for o in swarm.state.outcomes[web]] == [
        ("completed", False, 3),
        ("rolled-back", True, 1),
        ("completed", True, 1),
    ]
    swarm.check()


def test_after_an_automatic_rollback_the_next_update_goes_as_any() -> None:
    swarm, web = updated()
    swarm.broken["bad"] = "no such command"
    swarm.update(web, service_spec("web", "bad", replicas=2, update=UpdateConfig(failure_action="rollback")))
    swarm.advance(30)
    swarm.update(web, service_spec("web", "v3", replicas=2))
    swarm.advance(30)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.COMPLETED
    assert (image(swarm, web), swarm.running(web)) == ("v3", 2)
    back(swarm, web)
    assert image(swarm, web) == "v2"
    swarm.check()


def test_a_paused_update_can_be_gone_back_from_to_any_spec() -> None:
    swarm, web = updated()
    first = swarm.state.spec_positions[web][0]
    swarm.broken["bad"] = "no such command"
    swarm.update(web, service_spec("web", "bad", replicas=2))
    swarm.quiet()
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.PAUSED
    to = RollbackService(web, swarm.service(web).version, to=first, spec=service_spec("web", "v1", replicas=2))
    swarm.submit(to)
    swarm.advance(60)
    assert (image(swarm, web), swarm.running(web)) == ("v1", 2)
    assert [o.state for o in swarm.state.outcomes[web]] == ["completed", "paused", "completed"]
    swarm.check()


def using_a_secret_once(config: UpdateConfig | None = None) -> tuple[CoreSwarm, ServiceId]:
    """Return a service whose previous spec uses a secret that is gone since."""
    swarm = CoreSwarm()
    secret_id = SecretId(swarm.ids.new())
    swarm.submit(CreateSecret(secret_id, SecretSpec(name="pw"), size=1))
    secret = swarm.state.secrets[secret_id]
    web = swarm.create(service_spec("web", "v1", secrets=[secret]))
    swarm.quiet()
    swarm.update(web, service_spec("web", "v2", update=config))
    swarm.submit(RemoveSecret(secret_id))
    return swarm, web


def test_what_uses_a_secret_that_is_gone_is_not_gone_back_to() -> None:
    swarm, web = using_a_secret_once()
    swarm.advance(30)
    with raising(Rejected) as refused:
        back(swarm, web)
    assert "secret not found: pw" in str(refused.error)
    assert image(swarm, web) == "v2"
    swarm.check()


def test_an_update_that_fails_and_cannot_go_back_is_paused() -> None:
    swarm, web = using_a_secret_once(UpdateConfig(failure_action="rollback", monitor=60 * NANOSECONDS))
    swarm.quiet()
    swarm.report(swarm.tasks(web, wanted=True)[-1], TaskState.FAILED)
    swarm.advance(10)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state is UpdateState.PAUSED
    assert image(swarm, web) == "v2"
    swarm.check()


def test_a_port_that_another_has_now_is_not_gone_back_to() -> None:
    swarm = CoreSwarm()
    port = PortConfig(target_port=80, published_port=8080)
    web = swarm.create(service_spec("web", "demo", ports=[port]))
    swarm.quiet()
    swarm.update(web, service_spec("web", "demo"))
    swarm.advance(30)
    swarm.create(service_spec("other", "demo", ports=[port]))
    swarm.quiet()
    with raising(Rejected) as refused:
        back(swarm, web)
    assert "port '8080' is already in use by service 'other'" in str(refused.error)
    swarm.check()
