"""A state that was read has one object for each id: copies took a quarter of a task's memory."""

from skep.core.codec import decode_record, decode_state, encode_record, encode_state
from skep.core.events import Event, NodesJoined, ServiceCreated, TasksAssigned, TasksCreated
from skep.core.fold import fold
from skep.core.record import Actor, Planned, Record
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.testing.sources import BEGINNING

NODES = (NodeId("n1"), NodeId("n2"))
TASKS = (TaskId("t1"), TaskId("t2"), TaskId("t3"))


def read(state: ClusterState, event: Event) -> None:
    """Fold an event as it comes out of a log."""
    position = Position(state.position + 1)
    now = Instant(BEGINNING + position)
    made = Record(position, now, Actor("plan", "p"), Planned("p", "", now), (event,))
    record = decode_record(encode_record(made))
    fold(state, record.position, record.time, "", record.events)


def assigned() -> ClusterState:
    """Return a state with tasks on nodes, all of it read."""
    state = ClusterState()
    read(state, NodesJoined(NODES, (NodeSpec(),) * 2, (NodeDescription(hostname="h"),) * 2, ("",) * 2, (None,) * 2))
    read(state, ServiceCreated(ServiceId("web"), stored(service_spec("web", "demo"))))
    read(state, TasksCreated(ServiceId("web"), state.position, TASKS, slots=(1, 2, 3)))
    read(state, TasksAssigned(TASKS, (NODES[1], NODES[0], NODES[1])))
    return state


def test_ids_of_assigned_tasks_are_the_objects_that_the_tables_have() -> None:
    state = assigned()
    assert [task.node_id for task in state.tasks.values()] == ["n2", "n1", "n2"]
    known = {id(node_id) for node_id in state.nodes} | {id(task_id) for task_id in state.tasks}
    for task in state.tasks.values():
        assert id(task.node_id) in known
    for node_id, index in state.node_tasks.items():
        assert id(node_id) in known
        assert all(id(task_id) in known for task_id in index.all)
    assert all(id(node_id) in known for node_id in state.service_tasks[ServiceId("web")].on_node)


def test_what_tasks_of_a_checkpoint_have_in_common_is_one_object() -> None:
    made = assigned()
    state = decode_state(encode_state(made))
    assert state.tasks == made.tasks
    one, _, other = state.tasks.values()
    assert one.node_id is other.node_id is state.nodes[NODES[1]].id
    assert one.service_id is other.service_id
    assert one.origin.created_at is other.origin.created_at
    assert one.updated_at is other.updated_at
