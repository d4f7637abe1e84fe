"""Rebalancing: asked for, the tasks of a service are spread anew, one by one; unasked, nothing moves."""

from typing import Any

import pytest
from msgspec.structs import replace
from skep.core.commands import DescribeNode, RebalanceService, RemoveService, StartEngine, UpdateNode
from skep.core.events import ServiceRebalanceEnded, TasksCreated
from skep.core.failures import Failures
from skep.core.rejected import Rejected
from skep.model.build import service_spec
from skep.model.ids import NodeId, ServiceId
from skep.model.node import NodeDescription
from skep.model.service import (
    Placement,
    PlacementPreference,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceSpec,
    SpreadOver,
    UpdateConfig,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.model.task import Task
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm

GB = 1 << 30
START_FIRST = UpdateConfig(order="start-first")
BOTH_ORDERS = pytest.mark.parametrize("update", [None, START_FIRST])


def crowded(replicas: int = 6, **more: Any) -> tuple[CoreSwarm, ServiceId]:
    """Two nodes on which all tasks run, and one that joined afterwards."""
    swarm = CoreSwarm(nodes=2)
    web = swarm.create(service_spec("web", "demo", replicas=replicas, **more))
    swarm.quiet()
    join(swarm, "node-3")
    return swarm, web


def join(swarm: CoreSwarm, name: str) -> None:
    swarm.submit(join_nodes(name))
    swarm.observe(name, NodeState.READY)
    swarm.quiet()


def counts(swarm: CoreSwarm, service_id: ServiceId) -> list[int]:
    """Return how many tasks of a service run on each node."""
    on = [t.node_id for t in swarm.tasks(service_id, wanted=True) if t.state is TaskState.RUNNING]
    return [on.count(node_id) for node_id in swarm.state.nodes]


def ends(swarm: CoreSwarm) -> list[tuple[int, str]]:
    return [(e.moved, e.why) for e in swarm.events(ServiceRebalanceEnded) if isinstance(e, ServiceRebalanceEnded)]


def moving(swarm: CoreSwarm, service_id: ServiceId) -> Task:
    return swarm.state.tasks[swarm.state.rebalances[service_id].moving]


def test_a_node_that_joins_gets_nothing_unasked() -> None:
    swarm, web = crowded()
    swarm.advance(600)
    assert counts(swarm, web) == [3, 3, 0]


@BOTH_ORDERS
def test_a_node_that_joined_is_filled_on_request(update: UpdateConfig | None) -> None:
    swarm, web = crowded(update=update)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [2, 2, 2]
    assert ends(swarm) == [(2, "every node has its share, after 2 tasks moved")]
    assert not swarm.state.rebalances
    swarm.check()


def test_no_more_is_moved_than_the_budget_says() -> None:
    swarm, web = crowded()
    swarm.submit(RebalanceService(web, 1))
    swarm.quiet()
    assert sorted(counts(swarm, web)) == [1, 2, 3]
    assert ends(swarm) == [(1, "1 task moved, and no more were to be")]
    swarm.check()


def test_what_is_spread_evenly_stays_where_it_is() -> None:
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "demo", replicas=7))
    swarm.quiet()
    before = [t.id for t in swarm.tasks(web)]
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert [t.id for t in swarm.tasks(web)] == before
    assert ends(swarm) == [(0, "every node has its share, after 0 tasks moved")]
    swarm.check()


def test_one_task_is_moved_at_a_time_and_the_next_when_it_runs() -> None:
    swarm, web = crowded()
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    (first,) = [t for t in swarm.tasks(web) if t.origin.replaces]
    assert moving(swarm, web) == first
    swarm.stuck[first.id] = None
    old = swarm.state.tasks[first.origin.replaces]
    swarm.report(old, TaskState.SHUTDOWN)
    swarm.advance(600)
    swarm.report(first, TaskState.STARTING)
    swarm.advance(600)
    assert [t for t in swarm.tasks(web) if t.origin.replaces] == [swarm.state.tasks[first.id]], "it is not healthy yet"
    swarm.check()
    swarm.report(first, TaskState.RUNNING)
    swarm.settle()
    assert moving(swarm, web).id != first.id
    assert swarm.state.rebalances[web].moved == 1
    swarm.check()


def test_a_service_that_starts_first_is_never_short_of_tasks() -> None:
    swarm, web = crowded(update=START_FIRST)
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    first = moving(swarm, web)
    swarm.stuck[first.id] = None
    swarm.advance(60)
    assert first.desired is TaskState.RUNNING
    assert swarm.running(web) == 6
    swarm.check()
    swarm.stuck.clear()
    swarm.quiet()
    assert counts(swarm, web) == [2, 2, 2]
    swarm.check()


@BOTH_ORDERS
def test_a_moved_task_that_fails_ends_it_with_the_reason(update: UpdateConfig | None) -> None:
    swarm, web = crowded(update=update)
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    new = moving(swarm, web)
    swarm.stuck[new.id] = None
    swarm.quiet()
    swarm.report(new, TaskState.FAILED, err="task: non-zero exit (1)")
    swarm.settle()
    assert ends(swarm) == [(0, f"task {new.id}, which took over from another, ended: task: non-zero exit (1)")]
    swarm.advance(60)
    assert swarm.running(web) == 6
    assert len([e for e in swarm.events(TasksCreated) if isinstance(e, TasksCreated) and e.rebalance]) == 1
    swarm.check()


def test_a_moved_task_that_is_never_restarted_leaves_the_old_one_running_where_it_starts_first() -> None:
    swarm, web = crowded(update=START_FIRST, restart=RestartPolicy(condition="none"))
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    new = moving(swarm, web)
    swarm.report(new, TaskState.FAILED, err="boom")
    swarm.advance(60)
    assert swarm.running(web) == 6
    assert not swarm.state.given_up
    swarm.check()


def test_an_update_ends_it() -> None:
    swarm, web = crowded()
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    swarm.update(web, service_spec("web", "v2", replicas=6))
    swarm.settle()
    assert ends(swarm) == [(0, "the service is being updated, which places its tasks anew")]
    swarm.advance(120)
    assert swarm.running(web) == 6
    swarm.check()


def test_the_node_that_was_to_take_a_task_is_lost_and_the_rest_goes_on_without() -> None:
    swarm, web = crowded()
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    new = moving(swarm, web)
    swarm.observe(new.node_id, NodeState.DOWN, "heartbeat failure")
    swarm.advance(60)
    assert ends(swarm) == [(0, f"task {new.id}, which took over from another, is not wanted any more")]
    assert sum(counts(swarm, web)[:2]) == 6
    swarm.check()


def test_a_node_that_takes_no_task_of_the_service_is_not_filled() -> None:
    swarm, web = crowded()
    swarm.avail("node-3", Availability.PAUSE)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [3, 3, 0]
    spec = swarm.service(web).spec
    bound = replace(spec.template, placement=Placement(constraints=("node.hostname != node-3",)))
    swarm.avail("node-3", Availability.ACTIVE)
    swarm.update(web, replace(spec, task_template=bound))
    swarm.advance(60)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [3, 3, 0]
    swarm.check()


def test_the_most_that_a_node_may_have_counts() -> None:
    swarm = CoreSwarm(nodes=2)
    spec = service_spec("web", "demo", replicas=6)
    template = replace(spec.template, placement=Placement(max_replicas=3))
    web = swarm.create(replace(spec, task_template=template))
    swarm.quiet()
    join(swarm, "node-3")
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [2, 2, 2]
    swarm.check()


@pytest.mark.parametrize("update", [None, START_FIRST])
def test_an_engine_that_starts_again_goes_on_with_it(update: UpdateConfig | None) -> None:
    swarm, web = crowded(update=update)
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    swarm = CoreSwarm(state=swarm.state)
    swarm.submit(StartEngine("again"))
    swarm.quiet()
    assert counts(swarm, web) == [2, 2, 2]
    assert not swarm.state.rebalances
    swarm.check()


def test_a_service_that_is_removed_takes_it_along() -> None:
    swarm, web = crowded()
    swarm.submit(RebalanceService(web, 10))
    swarm.settle()
    swarm.submit(RemoveService(web))
    swarm.quiet()
    assert not swarm.state.rebalances
    assert not swarm.state.tasks
    swarm.check()


def test_it_is_refused_twice_and_without_a_budget() -> None:
    swarm, web = crowded()
    with pytest.raises(Rejected, match="must be positive, not 0"):
        swarm.submit(RebalanceService(web, 0))
    swarm.submit(RebalanceService(web, 1))
    with pytest.raises(Rejected, match="is being rebalanced already"):
        swarm.submit(RebalanceService(web, 1))


def spreading(replicas: int, *labels: str) -> ServiceSpec:
    spec = service_spec("web", "demo", replicas=replicas)
    preferences = tuple(PlacementPreference(SpreadOver(label)) for label in labels)
    return replace(spec, task_template=replace(spec.template, placement=Placement(preferences=preferences)))


def label(swarm: CoreSwarm, name: str, zone: str) -> None:
    node = swarm.state.nodes[NodeId(name)]
    swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"zone": zone})))


def test_where_a_service_spreads_over_a_label_its_values_count_like_nodes() -> None:
    swarm = CoreSwarm(nodes=2)
    label(swarm, "node-1", "a")
    label(swarm, "node-2", "a")
    web = swarm.create(spreading(6, "node.labels.zone"))
    swarm.quiet()
    swarm.submit(join_nodes("node-3"))
    label(swarm, "node-3", "b")
    swarm.observe("node-3", NodeState.READY)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert sorted(counts(swarm, web)) == [1, 2, 3], "half of them in each zone"
    assert counts(swarm, web)[2] == 3
    assert ends(swarm) == [(3, "every node has its share, after 3 tasks moved")]
    swarm.check()


def test_what_is_uneven_within_a_zone_is_moved_within_it() -> None:
    swarm = CoreSwarm(nodes=2)
    label(swarm, "node-1", "a")
    label(swarm, "node-2", "b")
    web = swarm.create(spreading(6, "node.labels.zone"))
    swarm.quiet()
    swarm.submit(join_nodes("node-3"))
    label(swarm, "node-3", "a")
    swarm.observe("node-3", NodeState.READY)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [2, 3, 1]
    swarm.check()


@BOTH_ORDERS
def test_a_node_without_the_resources_is_not_filled(update: UpdateConfig | None) -> None:
    swarm = CoreSwarm(nodes=2)
    for name in ("node-1", "node-2"):
        describe(swarm, name, 8)
    spec = service_spec("web", "demo", replicas=6, update=update)
    resources = ResourceRequirements(reservations=Reservations(memory_bytes=2 * GB))
    web = swarm.create(replace(spec, task_template=replace(spec.template, resources=resources)))
    swarm.quiet()
    assert counts(swarm, web) == [3, 3]
    swarm.submit(join_nodes("node-3"))
    describe(swarm, "node-3", 2)
    swarm.observe("node-3", NodeState.READY)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert sorted(counts(swarm, web)) == [1, 2, 3]
    assert counts(swarm, web)[2] == 1
    swarm.check()


def test_a_node_where_the_service_failed_too_often_lately_is_not_filled() -> None:
    swarm, web = crowded()
    state = swarm.state
    for _ in range(5):
        state.failures.setdefault(web, Failures()).note(swarm.service(web).spec_version, NodeId("node-3"), swarm.now)
    swarm.submit(RebalanceService(web, 10))
    swarm.quiet()
    assert counts(swarm, web) == [3, 3, 0]


def describe(swarm: CoreSwarm, name: str, gigabytes: int) -> None:
    resources = Reservations(memory_bytes=gigabytes * GB)
    swarm.submit(DescribeNode(NodeId(name), NodeDescription(hostname=name, resources=resources)))
