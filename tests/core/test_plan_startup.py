"""What happened while nothing planned is made up for when an engine starts, in every mode."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from skep.core.commands import AssignTasks, CreateTasks, RemoveNode, RemoveService
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, ServiceId, TaskId
from skep.model.service import Placement, RestartPolicy, UpdateConfig
from skep.model.states import Availability, Mode, NodeState, TaskState
from skep.testing.core_swarm import CoreSwarm

Happening = Callable[[CoreSwarm, ServiceId], object]


def begun(mode: Mode) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=3)
    swarm.lasting["demo"] = None
    service = swarm.create(service_spec("web", "demo", mode=mode, replicas=3, restart=RestartPolicy(delay=NANOSECONDS)))
    swarm.create(service_spec("other", "demo", mode=mode, replicas=3))
    swarm.quiet()
    return swarm, service


def started(before: CoreSwarm) -> CoreSwarm:
    """Start an engine on what the one before left, and let it come to rest."""
    swarm = CoreSwarm(state=before.state)
    swarm.now = max(swarm.now, before.now)
    swarm.lasting["demo"] = None
    swarm.silent |= before.silent
    swarm.advance(60)
    swarm.check()
    return swarm


def first_is(state: TaskState) -> Happening:
    return lambda swarm, service: swarm.report(swarm.tasks(service)[0], state)


def constrained(swarm: CoreSwarm, service: ServiceId) -> None:
    spec = swarm.service(service).spec
    placement = Placement(constraints=("node.hostname!=node-1",))
    swarm.update(service, replace(spec, task_template=replace(spec.template, placement=placement)))


#: What happens, and on how many of three nodes tasks run afterwards.
HAPPENINGS: dict[str, tuple[Happening, int]] = {
    "nothing": (lambda _swarm, _service: None, 3),
    "a task failed": (first_is(TaskState.FAILED), 3),
    "a task was rejected": (first_is(TaskState.REJECTED), 3),
    "a node was drained": (lambda swarm, _: swarm.avail("node-1", Availability.DRAIN), 2),
    "a node went down": (lambda swarm, _: swarm.observe("node-1", NodeState.DOWN), 2),
    "a node left": (lambda swarm, _: swarm.submit(RemoveNode(NodeId("node-1"), force=True)), 2),
    "a constraint came": (constrained, 2),
}


@pytest.mark.parametrize("what", HAPPENINGS)
@pytest.mark.parametrize("mode", Mode)
def test_a_start_makes_up_for_what_happened(mode: Mode, what: str) -> None:
    before, service = begun(mode)
    happening, nodes = HAPPENINGS[what]
    happening(before, service)
    swarm = started(before)
    running = [task for task in swarm.tasks(service, wanted=True) if task.state is TaskState.RUNNING]
    assert len({task.node_id for task in running}) == nodes
    assert len(running) == (nodes if mode.per_node else 3)
    assert len({task.seat for task in running}) == len(running)


@pytest.mark.parametrize("mode", Mode)
def test_tasks_of_a_service_that_is_gone_are_removed(mode: Mode) -> None:
    before, service = begun(mode)
    before.submit(RemoveService(service))
    swarm = started(before)
    assert swarm.tasks(service) == []
    assert len(swarm.tasks(ServiceId(next(iter(swarm.state.services))))) == 3


@pytest.mark.parametrize("mode", Mode)
def test_restarts_of_before_count(mode: Mode) -> None:
    before = CoreSwarm(nodes=1)
    before.lasting["demo"] = None
    policy = RestartPolicy(delay=0, max_attempts=2, window=100 * NANOSECONDS)
    service = before.create(service_spec("web", "demo", mode=mode, restart=policy))
    before.quiet()
    for _ in range(2):
        before.report(before.tasks(service, wanted=True)[0], TaskState.FAILED)
        before.quiet()
    before.report(before.tasks(service, wanted=True)[0], TaskState.FAILED)
    swarm = started(before)
    assert swarm.running(service) == 0
    assert len(swarm.state.given_up[service]) == 1


@pytest.mark.parametrize("mode", Mode)
def test_a_delay_that_had_begun_goes_on(mode: Mode) -> None:
    before, service = begun(mode)
    first = before.tasks(service)[0]
    before.report(first, TaskState.FAILED)
    before.quiet()
    waiting = next(task for task in before.tasks(service) if task.origin.replaces == first.id)
    assert waiting.desired is TaskState.READY
    swarm = started(before)
    assert swarm.state.tasks[waiting.id].state is TaskState.RUNNING


@pytest.mark.parametrize("mode", [Mode.GLOBAL, Mode.REPLICATED])
def test_a_seat_with_a_task_too_many_keeps_the_newest(mode: Mode) -> None:
    """As a log could tell that another engine wrote: both run, and neither replaces the other."""
    before = CoreSwarm(nodes=1)
    web = before.create(service_spec("web", "demo", mode=mode))
    before.quiet()
    (old,) = before.tasks(web)
    seat = {"node_ids": (old.node_id,)} if mode.per_node else {"slots": (old.slot,)}
    extra = TaskId("extra")
    before.submit(CreateTasks(web, old.origin.spec_version, (extra,), **seat))  # type: ignore[arg-type]  # one of them
    before.submit(AssignTasks((extra,), (old.node_id,)))
    before.report(before.state.tasks[extra], TaskState.RUNNING)
    swarm = started(before)
    assert [(task.id, task.state) for task in swarm.tasks(web, wanted=True)] == [(extra, TaskState.RUNNING)]
    assert swarm.state.tasks[old.id].state is TaskState.SHUTDOWN


def test_an_update_goes_on_where_it_was_when_an_engine_starts() -> None:
    before, web = begun(Mode.REPLICATED)
    one_at_a_time = UpdateConfig(parallelism=1, delay=2 * NANOSECONDS)
    before.update(web, service_spec("web", "new", replicas=3, update=one_at_a_time))
    before.advance(3)
    present = before.service(web).spec_version
    done = {task.id for task in before.tasks(web, wanted=True) if task.origin.spec_version == present}
    assert len(done) == 2
    swarm = started(before)
    assert done < {task.id for task in swarm.tasks(web, wanted=True)}
    (ended,) = swarm.state.outcomes[web]
    assert (ended.state, ended.made) == ("completed", 3)
    swarm.check()
