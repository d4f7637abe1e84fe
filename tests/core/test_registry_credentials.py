"""Credentials for a registry go with the spec that they came with; new ones alone replace only who has no image yet."""

import pytest
from msgspec.structs import replace
from skep.core.commands import CreateService, RollbackService, UpdateService
from skep.core.events import ServiceUpdated, TasksAdopted, TasksCreated
from skep.core.rejected import Rejected
from skep.model.build import service_spec
from skep.model.ids import Position, ServiceId
from skep.model.secret import Sealed
from skep.model.service import Placement, ServiceSpec, UpdateConfig
from skep.model.states import TaskState
from skep.testing.core_swarm import CoreSwarm

WEB = ServiceId("web")


def sealed(word: str, *, nonce: str = "") -> Sealed:
    """Return what looks as if `word` were sealed; never the same twice where the nonce differs, but for the HMAC."""
    return Sealed("registry-web", f"{nonce}-ciphertext-of-{word}".encode(), f"mac of {word}".encode())


ANN, BOB = sealed("ann"), sealed("bob")


def spec(image: str = "v1", *, zone: str = "") -> ServiceSpec:
    said = service_spec("web", image, replicas=2, update=UpdateConfig(parallelism=1))
    placement = Placement(constraints=(f"node.id!={zone}",)) if zone else None
    return replace(said, task_template=replace(said.template, placement=placement))


def begun(credentials: Sealed | None = ANN) -> CoreSwarm:
    swarm = CoreSwarm(nodes=2)
    swarm.submit(CreateService(WEB, spec(), credentials))
    return swarm


def update(swarm: CoreSwarm, new: ServiceSpec, sent: Sealed | None = None, *, previous: bool = False) -> None:
    swarm.submit(UpdateService(WEB, swarm.service(WEB).version, new, sent, previous))


def held(swarm: CoreSwarm) -> tuple[Sealed | None, Sealed | None]:
    """Return the credentials of the present and the previous spec."""
    service = swarm.service(WEB)
    assert swarm.state.templates[WEB][service.spec_version].credentials == service.credentials
    return service.credentials, service.previous_credentials


def test_an_update_without_credentials_keeps_them() -> None:
    swarm = begun()
    update(swarm, spec("v2"))
    assert held(swarm) == (ANN, ANN)
    update(swarm, spec("v3"), BOB)
    assert held(swarm) == (BOB, ANN)
    swarm.check()


def test_an_update_may_take_those_of_the_previous_spec() -> None:
    swarm = begun()
    update(swarm, spec("v2"), BOB)
    update(swarm, spec("v3"), previous=True)
    assert held(swarm) == (ANN, BOB)
    swarm.check()


def test_where_there_is_no_previous_spec_it_cannot() -> None:
    swarm = begun()
    with pytest.raises(Rejected, match=r"^service does not have a previous spec$"):
        update(swarm, spec("v2"), previous=True)


def test_going_back_goes_back_to_the_credentials_of_then() -> None:
    swarm = begun()
    update(swarm, spec("v2"), BOB)
    swarm.submit(RollbackService(WEB, swarm.service(WEB).version))
    assert held(swarm) == (ANN, BOB)
    swarm.check()


def test_going_back_further_brings_the_credentials_along() -> None:
    swarm = begun()
    first = swarm.service(WEB).written
    update(swarm, spec("v2"), BOB)
    update(swarm, spec("v3"))
    swarm.submit(RollbackService(WEB, swarm.service(WEB).version, to=Position(first), spec=spec(), credentials=ANN))
    assert held(swarm) == (ANN, BOB)
    swarm.check()


def test_an_automatic_rollback_goes_back_to_them_too() -> None:
    swarm = CoreSwarm(nodes=2)
    config = UpdateConfig(parallelism=1, failure_action="rollback", monitor=10**9, max_failure_ratio=0.0)
    swarm.submit(CreateService(WEB, service_spec("web", "v1", update=config), ANN))
    swarm.quiet()
    swarm.broken["v2"] = "it is broken"
    update(swarm, service_spec("web", "v2", update=config), BOB)
    swarm.advance(60)
    assert held(swarm) == (ANN, None)
    assert all(swarm.state.template_of(task).credentials == ANN for task in swarm.tasks(WEB, wanted=True))
    swarm.check()


def test_what_is_sent_again_is_what_it_was() -> None:
    swarm = begun()
    swarm.quiet()
    template = swarm.service(WEB).spec_version
    update(swarm, spec(), sealed("ann", nonce="other"))
    assert held(swarm) == (ANN, ANN)
    assert swarm.service(WEB).spec_version == template
    update(swarm, spec(), BOB)
    update(swarm, spec(), sealed("ann", nonce="third"))
    assert swarm.events(ServiceUpdated)[-1] == ServiceUpdated(WEB, swarm.service(WEB).spec, None, ANN)
    swarm.check()


def test_other_credentials_alone_leave_alone_what_runs_and_the_next_tasks_have_them() -> None:
    swarm = begun()
    swarm.quiet()
    before, ids = swarm.state.position, [task.id for task in swarm.tasks(WEB)]
    update(swarm, spec(), BOB)
    swarm.advance(60)
    assert [task.id for task in swarm.tasks(WEB)] == ids
    assert len(swarm.events(TasksAdopted, after=before)) == 1
    assert swarm.service(WEB).update_status is None
    swarm.report(swarm.tasks(WEB)[0], TaskState.FAILED)
    swarm.advance(60)
    assert [swarm.state.template_of(task).credentials for task in swarm.tasks(WEB, wanted=True)] == [BOB, BOB]
    swarm.check()


def test_who_has_no_image_yet_is_replaced() -> None:
    swarm = begun(None)
    swarm.settle()
    ready, pulling = swarm.tasks(WEB)
    swarm.report(ready, TaskState.READY)
    swarm.report(pulling, TaskState.PREPARING)
    before = swarm.state.position
    update(swarm, spec(), BOB)
    swarm.settle()
    assert swarm.state.tasks[ready.id].wanted
    assert not swarm.state.tasks[pulling.id].wanted
    assert [len(e.task_ids) for e in swarm.events(TasksCreated, after=before) if isinstance(e, TasksCreated)] == [1]
    assert swarm.state.updates[WEB].changed == ("TaskTemplate.ContainerSpec.PullOptions",)
    swarm.check()


def test_what_runs_is_replaced_where_its_place_changed_too() -> None:
    """As in SwarmKit: either alone is no reason, and both together are."""
    swarm = begun()
    swarm.quiet()
    ids = [task.id for task in swarm.tasks(WEB)]
    update(swarm, spec(zone="nowhere"), BOB)
    swarm.advance(60)
    assert not any(swarm.state.tasks[i].wanted for i in ids)
    swarm.check()


def test_a_new_image_with_new_credentials_is_rolled_out() -> None:
    swarm = begun()
    swarm.quiet()
    update(swarm, spec("v2"), BOB)
    swarm.advance(60)
    assert [swarm.state.template_of(task).credentials for task in swarm.tasks(WEB, wanted=True)] == [BOB, BOB]
    changed = swarm.state.outcomes[WEB][-1].changed
    assert changed == ("TaskTemplate.ContainerSpec.Image", "TaskTemplate.ContainerSpec.PullOptions")
    swarm.check()
