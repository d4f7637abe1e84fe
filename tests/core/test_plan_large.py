"""Plans of large services keep to their budget of rows: one record must hold them, and the loop must not wait."""

from skep.core.codec import encode_record
from skep.core.commands import CreateService, ObserveNodes, RemoveService
from skep.core.events import ROWS_MAX, TasksDesired
from skep.core.transaction import run_plan
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, ServiceId
from skep.model.states import NodeState
from skep.ports.event_log import RECORD_BYTES_MAX
from skep.testing.core_swarm import CoreSwarm
from skep.testing.sources import SeededIds


def crowd(tasks: int) -> tuple[CoreSwarm, ServiceId]:
    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "demo", replicas=tasks))
    swarm.settle()
    assert len(swarm.tasks(web)) == tasks
    return swarm, web


def test_a_removed_service_is_unmade_a_record_at_a_time() -> None:
    swarm, web = crowd(2 * ROWS_MAX + 10)
    swarm.submit(RemoveService(web))
    wanted = []
    more = True
    while more:
        plan, record = run_plan(swarm.state, "replicas", web, Instant(swarm.state.time), SeededIds(1))
        assert record is not None
        assert len(encode_record(record)) < RECORD_BYTES_MAX
        wanted += [len(event.task_ids) for event in record.events if isinstance(event, TasksDesired)]
        more = plan.more
    assert wanted == [ROWS_MAX, ROWS_MAX, 10]


def test_a_large_service_is_scaled_down_in_steps_that_together_are_the_wanted_ones() -> None:
    swarm, web = crowd(2 * ROWS_MAX + 100)
    swarm.scale(web, 100)
    swarm.settle()
    assert swarm.slots(web) == list(range(1, 101))
    swarm.check()


def test_a_node_with_tasks_of_very_many_services_is_left_in_records_that_fit() -> None:
    swarm = CoreSwarm(nodes=1)
    for number in range(1500):
        swarm.submit(CreateService(ServiceId(f"s{number:024}"), service_spec(f"web{number}", "demo")))
        if number % 50 == 0:
            swarm.settle()
    swarm.settle()
    node_id = next(iter(swarm.state.nodes))
    swarm.submit(ObserveNodes((NodeId(node_id),), NodeState.DOWN))
    plan, record = run_plan(swarm.state, "nodes", node_id, Instant(swarm.state.time), SeededIds(1))
    assert record is not None
    assert plan.more
    assert len(encode_record(record)) < RECORD_BYTES_MAX
