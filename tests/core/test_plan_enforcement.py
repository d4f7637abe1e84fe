"""The constraint enforcer: a node that changed keeps no task that may not be there (FACTS, chapter 8)."""

from typing import Any

from msgspec.structs import replace
from skep.core.commands import DescribeNode, ReportTasks, RollbackService, UpdateNode
from skep.core.events import (
    Event,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    ServiceCreated,
    TasksAssigned,
    TasksCreated,
    TasksEvicted,
)
from skep.core.fold import begin, evolve
from skep.core.plan.orchestrator.enforcer import UNMET
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    NamedResource,
    Placement,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceSpec,
    UpdateConfig,
)
from skep.model.states import Availability, Mode, NodeState, Role, TaskState
from skep.model.task import ContainerStatus, Given
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm
from skep.testing.given import given

ONE, TWO, THREE = NodeId("node-1"), NodeId("node-2"), NodeId("node-3")


def label(swarm: CoreSwarm, node_id: NodeId, **labels: str) -> None:
    node = swarm.state.nodes[node_id]
    swarm.submit(UpdateNode(node_id, node.version, replace(node.spec, labels=labels)))


def bound(name: str, *constraints: str, image: str = "demo", **more: Any) -> ServiceSpec:
    spec = service_spec(name, image, **more)
    return replace(spec, task_template=replace(spec.template, placement=Placement(constraints=constraints)))


def zoned(*constraints: str, **more: Any) -> tuple[CoreSwarm, ServiceId]:
    """Two nodes of zone a, one of none; what is created runs."""
    swarm = CoreSwarm(nodes=3)
    label(swarm, ONE, zone="a")
    label(swarm, TWO, zone="a")
    web = swarm.create(bound("web", *constraints, **more))
    swarm.quiet()
    return swarm, web


def test_a_task_whose_node_loses_the_label_is_rejected_at_once_and_replaced_after_the_restart_delay() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2)
    (old,) = swarm.state.tasks_on(ONE)
    label(swarm, ONE)
    swarm.settle()
    evicted = swarm.state.tasks[old.id]
    assert (evicted.state, evicted.desired) == (TaskState.REJECTED, TaskState.SHUTDOWN)
    assert (evicted.status.message, evicted.status.err) == ("task rejected by constraint enforcer", UNMET)
    new = swarm.tasks(web)[-1]
    assert (new.slot, new.node_id, new.desired) == (old.slot, TWO, TaskState.READY)
    swarm.advance(4.9)
    assert swarm.running(web) == 1
    swarm.advance(0.1)
    assert swarm.running(web) == 2
    swarm.check()


def test_an_evicted_task_still_says_what_container_it_had() -> None:
    swarm, _ = zoned("node.labels.zone == a", replicas=2)
    (old,) = swarm.state.tasks_on(ONE)
    container = ContainerStatus("c1", pid=7)
    swarm.submit(ReportTasks(ONE, (old.id,), (replace(old.status, container=container),)))
    label(swarm, ONE)
    swarm.settle()
    evicted = swarm.state.tasks[old.id]
    assert (evicted.state, evicted.status.container) == (TaskState.REJECTED, container)


def test_nothing_moves_back_when_the_label_comes_back() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2)
    label(swarm, ONE)
    swarm.advance(10)
    label(swarm, ONE, zone="a")
    swarm.advance(60)
    assert [t.node_id for t in swarm.tasks(web, wanted=True)] == [TWO, TWO]
    swarm.check()


def test_a_task_that_no_node_fits_waits_and_comes_to_the_first_that_does() -> None:
    swarm, web = zoned("node.labels.zone == b")
    assert swarm.tasks(web)[0].status.err == "no suitable node (scheduling constraints not satisfied on 3 nodes)"
    label(swarm, THREE, zone="b")
    swarm.quiet()
    assert [t.node_id for t in swarm.tasks(web)] == [THREE]
    swarm.check()


def test_a_role_that_changes_evicts_too() -> None:
    swarm, web = zoned("node.role == worker")
    (old,) = swarm.tasks(web)
    node = swarm.state.nodes[old.node_id]
    # promotion is refused for now, so the fold is told
    begin(swarm.state, Position(swarm.state.position + 1), swarm.now, "")
    evolve(swarm.state, NodeUpdated(node.id, replace(node.spec, role=Role.MANAGER)))
    swarm.wakes.touch(swarm.state.take_touched())
    swarm.settle()
    assert swarm.state.tasks[old.id].state is TaskState.REJECTED


def test_a_description_that_changes_evicts_too() -> None:
    swarm, web = zoned("node.platform.os == linux")
    (old,) = swarm.tasks(web)
    swarm.submit(DescribeNode(old.node_id, NodeDescription(hostname="changed")))
    swarm.settle()
    assert swarm.state.tasks[old.id].state is TaskState.REJECTED
    swarm.check()


def test_a_label_that_nothing_asks_for_evicts_nothing() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2)
    before = swarm.state.position
    label(swarm, ONE, zone="a", disk="ssd")
    swarm.advance(60)
    assert swarm.state.position == before + 1
    assert swarm.running(web) == 2


def test_a_paused_node_keeps_tasks_that_it_would_not_be_given_until_it_is_active_again() -> None:
    swarm, _ = zoned("node.labels.zone == a", replicas=2)
    (old,) = swarm.state.tasks_on(ONE)
    swarm.avail(ONE, Availability.PAUSE)
    label(swarm, ONE)
    swarm.advance(60)
    assert swarm.state.tasks[old.id].state is TaskState.RUNNING
    swarm.avail(ONE, Availability.ACTIVE)
    swarm.settle()
    assert swarm.state.tasks[old.id].state is TaskState.REJECTED
    swarm.check()


def test_the_present_constraints_of_the_service_count_not_those_that_the_task_was_made_with() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2)
    swarm.update(web, bound("web", replicas=2))  # no task is replaced: all nodes fulfil no constraint
    swarm.advance(30)
    label(swarm, ONE)
    swarm.advance(30)
    assert [t.state for t in swarm.tasks(web)] == [TaskState.RUNNING] * 2
    swarm.update(web, bound("web", "node.labels.zone != b", replicas=2))
    swarm.advance(30)
    label(swarm, TWO, zone="b")
    swarm.settle()
    assert [t.state for t in swarm.state.tasks_on(TWO)] == [TaskState.REJECTED]
    swarm.check()


def test_new_constraints_are_the_updates_to_bring_about_not_the_enforcers() -> None:
    swarm, web = zoned(replicas=3)
    swarm.update(web, bound("web", "node.labels.zone == a", replicas=3))
    swarm.advance(60)
    label(swarm, THREE, any="thing")
    swarm.advance(60)
    assert not swarm.events(TasksEvicted)
    assert {t.node_id for t in swarm.tasks(web, wanted=True)} == {ONE, TWO}
    swarm.check()


def test_a_change_of_the_node_in_the_midst_of_an_update_leaves_to_it_what_it_did_not_reach() -> None:
    slow = UpdateConfig(parallelism=1, delay=30 * 10**9)
    swarm, web = zoned(replicas=3, update=slow)
    swarm.update(web, bound("web", "node.labels.zone == a", image="v2", replicas=3, update=slow))
    swarm.advance(5)
    label(swarm, THREE, any="thing")
    swarm.settle()
    assert not swarm.events(TasksEvicted)
    swarm.advance(120)
    assert {t.node_id for t in swarm.tasks(web, wanted=True)} == {ONE, TWO}
    assert not swarm.events(TasksEvicted)
    swarm.check()


def test_what_a_rollback_makes_present_again_is_enforced() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2)
    swarm.broken["bad"] = "task: non-zero exit (1)"
    swarm.update(web, bound("web", image="bad", replicas=2))
    swarm.advance(20)
    (kept,) = [t for t in swarm.tasks(web) if t.state is TaskState.RUNNING]
    label(swarm, kept.node_id)
    swarm.advance(20)
    assert swarm.state.tasks[kept.id].state is TaskState.RUNNING, "the present spec has no constraint"
    swarm.submit(RollbackService(web, swarm.service(web).version))
    swarm.settle()
    assert swarm.state.tasks[kept.id].state is TaskState.REJECTED
    swarm.check()


def test_a_task_that_is_never_restarted_is_not_replaced_when_it_is_evicted() -> None:
    swarm, web = zoned("node.labels.zone == a", restart=RestartPolicy(condition="none"))
    (old,) = swarm.tasks(web)
    label(swarm, old.node_id)
    swarm.advance(60)
    assert [t.state for t in swarm.tasks(web)] == [TaskState.REJECTED]
    swarm.check()


def test_an_evicted_task_does_not_fail_an_update() -> None:
    swarm, web = zoned("node.labels.zone == a", replicas=2, update=UpdateConfig(parallelism=0, monitor=30 * 10**9))
    swarm.update(web, bound("web", "node.labels.zone == a", image="v2", replicas=2))
    swarm.advance(3)
    label(swarm, ONE)
    swarm.advance(60)
    status = swarm.service(web).update_status
    assert status is not None
    assert status.state == "completed"
    swarm.check()


# --- resources; the tasks are given, as the scheduler would have placed them

GB = 1 << 30


Units = tuple[GenericResource, ...]


def reserving(*amounts: Reservations, described: Reservations, given_to: tuple[Units, ...] = ()) -> ClusterState:
    """Return a node that has `described`, with a task for each amount."""
    events: list[Event] = [
        NodesJoined(
            (ONE,),
            (NodeSpec(role=Role.WORKER, availability=Availability.ACTIVE),),
            (NodeDescription(hostname="one", resources=described),),
            ("10.0.0.1",),
            (None,),
        ),
        NodesObserved((ONE,), NodeState.READY),
    ]
    for number, amount in enumerate(amounts):
        spec = service_spec(f"s{number}", "demo")
        template = replace(spec.template, resources=ResourceRequirements(reservations=amount))
        at = Position(len(events) + 1)
        service_id, task_id = ServiceId(f"s{number}"), TaskId(f"t{number}")
        events += [
            ServiceCreated(service_id, replace(spec, task_template=template)),
            TasksCreated(service_id, at, (task_id,), slots=(1,)),
            TasksAssigned((task_id,), (ONE,)),
        ]
    state = given(*events).state
    for number, units in enumerate(given_to):
        state.given[TaskId(f"t{number}")] = Given(resources=units)
    return state


def evicted(state: ClusterState, now: Reservations) -> list[str]:
    """Return which tasks are rejected when the node says that it has `now`."""
    swarm = CoreSwarm(state=state)
    swarm.submit(DescribeNode(ONE, NodeDescription(hostname="one", resources=now)))
    swarm.settle()
    return [i for event in swarm.events(TasksEvicted) if isinstance(event, TasksEvicted) for i in event.task_ids]


def test_a_node_with_less_memory_keeps_the_first_tasks_that_fit() -> None:
    tasks = reserving(*[Reservations(memory_bytes=GB)] * 3, described=Reservations(memory_bytes=4 * GB))
    assert evicted(tasks, Reservations(memory_bytes=3 * GB)) == []
    assert evicted(tasks, Reservations(memory_bytes=2 * GB)) == ["t2"]
    assert evicted(tasks, Reservations(memory_bytes=GB // 2)) == ["t0", "t1", "t2"]


def test_a_large_task_makes_room_for_the_small_ones_behind_it() -> None:
    tasks = reserving(
        *[Reservations(nano_cpus=amount * 10**9) for amount in (1, 3, 1)], described=Reservations(nano_cpus=5 * 10**9)
    )
    assert evicted(tasks, Reservations(nano_cpus=2 * 10**9)) == ["t1"]


def test_a_node_without_a_generic_resource_keeps_no_task_that_was_given_it() -> None:
    def gpus(*names: str) -> Units:
        return tuple(GenericResource(named_resource_spec=NamedResource("gpu", name)) for name in names)

    def slots(amount: int) -> Units:
        return (GenericResource(discrete_resource_spec=DiscreteResource("slot", amount)),)

    one = Reservations(generic_resources=(GenericResource(discrete_resource_spec=DiscreteResource("gpu", 1)),))
    both = reserving(
        one, one, described=Reservations(generic_resources=gpus("a", "b")), given_to=(gpus("a"), gpus("b"))
    )
    assert evicted(both, Reservations(generic_resources=gpus("a", "b", "c"))) == []
    assert evicted(both, Reservations(generic_resources=gpus("b", "c"))) == ["t0"]
    two = reserving(one, one, described=Reservations(generic_resources=slots(3)), given_to=(slots(1), slots(2)))
    assert evicted(two, Reservations(generic_resources=slots(2))) == ["t1"]


def test_a_job_that_completed_reserves_nothing_of_its_node_any_more() -> None:
    """All of the node is reserved twice, and both may be there, since one of them is done."""
    swarm = CoreSwarm(nodes=0)
    whole = ResourceRequirements(reservations=Reservations(memory_bytes=GB))
    swarm.submit(join_nodes(ONE))
    swarm.submit(DescribeNode(ONE, NodeDescription(hostname="one", resources=Reservations(memory_bytes=GB))))
    swarm.observe(ONE, NodeState.READY)
    services = []
    for name, mode in (("job", Mode.REPLICATED_JOB), ("web", Mode.REPLICATED)):
        spec = service_spec(name, "demo", mode=mode)
        services.append(swarm.create(replace(spec, task_template=replace(spec.template, resources=whole))))
        swarm.advance(1)
    job, web = services
    assert [task.state for task in swarm.tasks(job)] == [TaskState.COMPLETE]
    label(swarm, ONE, zone="b")
    swarm.advance(10)
    assert [task.state for task in swarm.tasks(web)] == [TaskState.RUNNING]
    assert not swarm.events(TasksEvicted)
    swarm.check()


def test_a_node_that_is_described_anew_as_it_was_evicts_nothing() -> None:
    described = Reservations(memory_bytes=GB)
    tasks = reserving(described, described=described)
    assert evicted(tasks, described) == []


def test_a_global_task_is_evicted_and_not_replaced_before_the_label_is_back() -> None:
    swarm, web = zoned("node.labels.zone == a", mode="global")
    label(swarm, ONE)
    swarm.advance(60)
    assert [t.state for t in swarm.state.tasks_on(ONE)] == [TaskState.REJECTED]
    assert swarm.running(web) == 1
    swarm.check()
    label(swarm, ONE, zone="a")
    swarm.advance(60)
    assert swarm.running(web) == 2
    swarm.check()
