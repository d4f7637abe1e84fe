"""Every update and every rollback ends in an outcome that can be read later: what changed, which tasks, how, why."""

from typing import Any

import pytest
from msgspec.structs import replace
from skep.core.codec import decode_state, encode_state
from skep.core.commands import RemoveService, RollbackService
from skep.core.events import (
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    TasksAdopted,
    TasksCreated,
)
from skep.core.rejected import Rejected
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, Position, ServiceId
from skep.model.service import Outcome, Placement, PlacementPreference, ServiceSpec, SpreadOver, UpdateConfig
from skep.model.states import TaskState, UpdateState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def spec(image: str, *, replicas: int = 3, constraints: tuple[str, ...] = (), **update: Any) -> ServiceSpec:
    made = service_spec("web", image, replicas=replicas, update=UpdateConfig(parallelism=1, **update))
    placement = Placement(constraints=constraints) if constraints else None
    return replace(made, task_template=replace(made.template, placement=placement))


def running(image: str = "v1", **update: Any) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(spec(image, **update))
    swarm.quiet()
    return swarm, web


def outcomes(swarm: CoreSwarm, web: ServiceId) -> tuple[Outcome, ...]:
    return swarm.state.outcomes.get(web, ())


def test_a_completed_update_tells_what_changed_and_which_tasks_it_made() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2"))
    set_at = swarm.state.position
    swarm.advance(60)
    (ended,) = outcomes(swarm, web)
    assert (ended.state, ended.why, ended.rollback) == ("completed", "update completed", False)
    assert ended.changed == ("TaskTemplate.ContainerSpec.Image",)
    assert ended.spec_at == set_at
    assert (ended.made, ended.failed) == (3, ())
    assert {*ended.tasks} == {t.id for t in swarm.tasks(web, wanted=True)}
    (reported,) = [e for e in swarm.events(ServiceUpdateReported) if isinstance(e, ServiceUpdateReported) and e.outcome]
    assert reported.outcome == ended
    assert set_at < ended.began_at < ended.ended_at <= swarm.state.position
    assert web not in swarm.state.updates
    swarm.check()


def test_a_paused_update_names_the_tasks_that_failed() -> None:
    swarm, web = running()
    swarm.broken["bad"] = "task: non-zero exit (1)"
    swarm.update(web, spec("bad", failure_action="pause"))
    swarm.quiet()
    (ended,) = outcomes(swarm, web)
    assert ended.state == "paused"
    (failed,) = ended.failed
    assert ended.why == f"update paused due to failure or early termination of task {failed}"
    assert swarm.state.tasks[failed].state is TaskState.FAILED
    swarm.check()


def test_an_update_that_rolls_itself_back_ends_so_and_its_rollback_has_an_outcome_of_its_own() -> None:
    swarm, web = running()
    swarm.broken["bad"] = "task: non-zero exit (1)"
    swarm.update(web, spec("bad", failure_action="rollback"))
    swarm.advance(60)
    update, rollback = outcomes(swarm, web)
    assert (update.state, update.rollback) == ("rolled-back", False)
    assert update.failed
    assert (rollback.state, rollback.rollback) == ("completed", True)
    assert rollback.changed == ("TaskTemplate.ContainerSpec.Image", "UpdateConfig.FailureAction")
    swarm.check()


def test_an_update_in_the_middle_of_one_supersedes_it() -> None:
    swarm, web = running(delay=2 * NANOSECONDS)
    swarm.update(web, spec("v2", delay=2 * NANOSECONDS))
    swarm.advance(1)
    swarm.update(web, spec("v3", delay=2 * NANOSECONDS))
    (updated,) = [e for e in swarm.events(ServiceUpdated) if isinstance(e, ServiceUpdated) and e.outcome]
    assert updated.outcome is not None
    assert (updated.outcome.state, updated.outcome.made) == ("superseded", 1)
    swarm.advance(60)
    assert [o.state for o in outcomes(swarm, web)] == ["superseded", "completed"]
    swarm.check()


def test_only_so_many_outcomes_are_kept_and_the_log_has_all() -> None:
    swarm, web = running()
    for number in range(12):
        swarm.update(web, spec(f"v{number + 2}"))
        swarm.advance(30)
    assert len(outcomes(swarm, web)) == 10
    reported = [e for e in swarm.events(ServiceUpdateReported) if isinstance(e, ServiceUpdateReported) and e.outcome]
    assert len(reported) == 12
    swarm.check()


def test_a_change_that_touches_no_task_has_no_outcome() -> None:
    swarm, web = running()
    swarm.scale(web, 5)
    swarm.advance(30)
    assert outcomes(swarm, web) == ()
    assert swarm.service(web).update_status is None


def test_an_update_ends_with_its_service() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2"))
    swarm.quiet()
    made = swarm.state.updates[web].made
    swarm.submit(RemoveService(web))
    (removed,) = [e for e in swarm.events(ServiceRemoved) if isinstance(e, ServiceRemoved)]
    assert removed.outcome is not None
    assert (removed.outcome.state, removed.outcome.made) == ("superseded", made)
    assert removed.outcome.why == "the service was removed before it was done"
    swarm.check()


def test_labels_of_a_removed_service_are_kept_until_its_last_task_is_gone() -> None:
    swarm, web = running()
    swarm.update(web, replace(spec("v1"), labels={"a": "b"}))
    swarm.submit(RemoveService(web))
    assert swarm.state.departed == {web: {"a": "b"}}
    swarm.check()
    assert decode_state(encode_state(swarm.state)).departed == {web: {"a": "b"}}
    swarm.advance(30)
    assert swarm.state.departed == {}
    swarm.check()


def test_what_is_removed_leaves_nothing() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2"))
    swarm.settle()
    assert web in swarm.state.updates
    swarm.submit(RemoveService(web))
    swarm.advance(30)
    state = swarm.state
    assert (state.updates, state.outcomes, state.spec_positions, state.templates) == ({}, {}, {}, {})
    assert state.departed == {}
    swarm.check()


# --- constraints that tasks fulfil already


def test_a_new_constraint_that_the_nodes_fulfil_replaces_nothing() -> None:
    swarm, web = running()
    before = [t.id for t in swarm.tasks(web)]
    swarm.update(web, spec("v1", constraints=("node.hostname!=nowhere",)))
    swarm.advance(60)
    assert [t.id for t in swarm.tasks(web)] == before
    assert swarm.service(web).update_status is None
    assert outcomes(swarm, web) == ()
    swarm.check()


def test_tasks_whose_node_fulfils_the_new_constraint_are_adopted_and_the_others_replaced() -> None:
    swarm, web = running()
    at = {t.id: t.node_id for t in swarm.tasks(web)}
    there = next(iter(at.values()))
    stay = [i for i, node in at.items() if node == there]
    after = swarm.state.position
    swarm.update(web, spec("v1", constraints=(f"node.id=={there}",)))
    swarm.advance(60)
    assert [e.task_ids for e in swarm.events(TasksAdopted) if isinstance(e, TasksAdopted)] == [tuple(stay)]
    wanted = swarm.tasks(web, wanted=True)
    assert {t.node_id for t in wanted} == {there}
    assert {*stay} <= {t.id for t in wanted}
    made = [e for e in swarm.events(TasksCreated, after=after) if isinstance(e, TasksCreated)]
    assert sum(len(e.task_ids) for e in made) == len(at) - len(stay)
    assert {t.origin.spec_version for t in wanted} == {swarm.service(web).spec_version}
    swarm.check()


@pytest.mark.parametrize(
    "placement",
    [Placement(max_replicas=2), Placement(preferences=(PlacementPreference(SpreadOver("node.labels.zone")),))],
    ids=["max replicas", "preference"],
)
def test_what_else_a_placement_says_is_for_tasks_to_come(placement: Placement) -> None:
    swarm, web = running()
    before = [t.id for t in swarm.tasks(web)]
    changed = spec("v1")
    swarm.update(web, replace(changed, task_template=replace(changed.template, placement=placement)))
    swarm.advance(60)
    assert [t.id for t in swarm.tasks(web)] == before
    assert swarm.service(web).update_status is None
    assert not swarm.state.service_tasks[web].stale
    swarm.check()


def test_going_back_to_constraints_that_the_nodes_fulfil_replaces_nothing() -> None:
    swarm, web = running()
    before = [t.id for t in swarm.tasks(web)]
    swarm.update(web, spec("v1", constraints=("node.hostname!=nowhere",)))
    swarm.advance(60)
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.advance(60)
    assert [t.id for t in swarm.tasks(web)] == before
    (ended,) = outcomes(swarm, web)
    assert (ended.state, ended.rollback, ended.made) == ("completed", True, 0)
    swarm.check()


def test_a_constraint_with_another_image_replaces_all() -> None:
    swarm, web = running()
    swarm.update(web, spec("v2", constraints=("node.hostname!=nowhere",)))
    swarm.advance(60)
    assert not swarm.events(TasksAdopted)
    assert len(outcomes(swarm, web)[0].tasks) == 3
    swarm.check()


# --- any earlier version


def test_any_earlier_spec_can_be_gone_back_to() -> None:
    swarm, web = running()
    first = swarm.service(web).written
    for image in ("v2", "v3", "v4"):
        swarm.update(web, spec(image))
        swarm.advance(30)
    assert len(swarm.state.spec_positions[web]) == 4
    back = RollbackService(
        web, swarm.service(web).version, message="manually requested rollback to 1", to=first, spec=spec("v1")
    )
    swarm.submit(back)
    swarm.advance(60)
    (event,) = [e for e in swarm.events(ServiceRolledBack) if isinstance(e, ServiceRolledBack)]
    assert event.to == first
    service = swarm.service(web)
    assert service.spec.container.image == "v1"
    assert service.previous_spec is not None
    assert service.previous_spec.container.image == "v4"
    assert service.update_status is not None
    assert service.update_status.state is UpdateState.ROLLBACK_COMPLETED
    assert outcomes(swarm, web)[-1].rollback
    swarm.check()


def test_a_position_that_set_no_spec_of_it_is_refused_by_name() -> None:
    swarm, web = running()
    wrong = RollbackService(web, swarm.service(web).version, to=Position(1), spec=spec("v0"))
    with raising(Rejected) as caught:
        swarm.submit(wrong)
    assert str(caught) == "service web was not specified at position 1"
