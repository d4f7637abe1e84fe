"""A state that was read from a log has one object for each id: copies took a quarter of a task's memory."""

from skep.core.codec import decode_record, encode_record
from skep.core.events import Event, NodesJoined, ServiceCreated, TasksAssigned, TasksCreated
from skep.core.fold import fold
from skep.core.record import Actor, Planned, Record
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec

NODES = (NodeId("n1"), NodeId("n2"))
TASKS = (TaskId("t1"), TaskId("t2"), TaskId("t3"))


def read(state: ClusterState, event: Event) -> None:
    """Fold an event as it comes out of a log."""
    position = Position(state.position + 1)
    made = Record(position, Instant(position), Actor("plan", "p"), Planned("p", "", Instant(position)), (event,))
    record = decode_record(encode_record(made))
    fold(state, record.position, record.time, "", record.events)


def test_ids_of_assigned_tasks_are_the_objects_that_the_tables_have() -> None:
    state = ClusterState()
    read(state, NodesJoined(NODES, (NodeSpec(),) * 2, (NodeDescription(hostname="h"),) * 2, ("",) * 2, (None,) * 2))
    read(state, ServiceCreated(ServiceId("web"), stored(service_spec("web", "demo"))))
    read(state, TasksCreated(ServiceId("web"), state.position, TASKS, slots=(1, 2, 3)))
    read(state, TasksAssigned(TASKS, (NODES[1], NODES[0], NODES[1])))
    assert [task.node_id for task in state.tasks.values()] == ["n2", "n1", "n2"]
    known = {id(node_id) for node_id in state.nodes} | {id(task_id) for task_id in state.tasks}
    for task in state.tasks.values():
        assert id(task.node_id) in known
    for node_id, index in state.node_tasks.items():
        assert id(node_id) in known
        assert all(id(task_id) in known for task_id in index.all)
    assert all(id(node_id) in known for node_id in state.service_tasks[ServiceId("web")].on_node)
