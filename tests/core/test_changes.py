"""What the world outside sees of events: the attributes are a real swarm's (scenario 45; chapter 10 of the facts)."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from skep.core.changes import Change, describe
from skep.core.events import (
    EVENTS,
    ConfigCreated,
    ConfigRemoved,
    EngineStarted,
    Event,
    NetworkAllocated,
    NetworkCreated,
    NetworkRemoved,
    NodeAttached,
    NodeDescribed,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    SecretCreated,
    SecretRemoved,
    ServiceAllocated,
    ServiceCreated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    SwarmLeft,
    TasksAllocated,
    TasksCreated,
)
from skep.core.fold import begin, evolve
from skep.core.state import ClusterState
from skep.model.container import ContainerSpec
from skep.model.ids import ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import IpamConfig, NetworkAddress, NetworkSpec
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import Endpoint, ReplicatedMode, ServiceMode, ServiceSpec, TaskSpec, UpdateStatus
from skep.model.states import Availability, NodeState, Role, TaskState, UpdateState

NODE, SERVICE, SECRET, CONFIG = NodeId("n"), ServiceId("w"), SecretId("s"), ConfigId("c")
ACTIVE = NodeSpec(role=Role.MANAGER, availability=Availability.ACTIVE, labels={})


def spec(replicas: int | None = 2, image: str = "ip:v1", **labels: str) -> ServiceSpec:
    mode = ServiceMode(global_={}) if replicas is None else ServiceMode(replicated=ReplicatedMode(replicas))
    template = TaskSpec(container_spec=ContainerSpec(image=image))
    return ServiceSpec(name="w", labels=labels, mode=mode, task_template=template)


def reported(state: UpdateState) -> Event:
    return ServiceUpdateReported(SERVICE, UpdateStatus(state, Instant(1)))


def rolled_back(to: ServiceSpec) -> Event:
    return ServiceRolledBack(SERVICE, to, Position(1), UpdateStatus(UpdateState.ROLLBACK_STARTED, Instant(1)))


def seen(*events: Event) -> list[Change]:
    """Each event is a record of its own."""
    state = ClusterState()
    changes: list[Change] = []
    for number, event in enumerate(events, start=1):
        begin(state, Position(number), Instant(number * 10), "")
        changes += describe(state, state.position, state.time, event)
        evolve(state, event)
    return changes


def joined(node_id: NodeId = NODE, hostname: str = "node1", node_spec: NodeSpec = ACTIVE) -> NodesJoined:
    return NodesJoined((node_id,), (node_spec,), (NodeDescription(hostname=hostname),), ("",), (None,))


def last(*events: Event) -> dict[str, str]:
    return seen(*events)[-1].attributes


def test_a_swarm_s_life_is_seen_as_recorded() -> None:
    story = seen(
        joined(),
        NodesObserved((NODE,), NodeState.READY),
        SecretCreated(SECRET, SecretSpec(name="s")),
        ConfigCreated(CONFIG, ConfigSpec(name="c")),
        ServiceCreated(SERVICE, spec()),
        ServiceAllocated(SERVICE, Endpoint()),
        TasksCreated(SERVICE, Position(5), (TaskId("t"),), slots=(1,)),
        ServiceUpdated(SERVICE, spec(a="b")),
        ServiceUpdated(SERVICE, spec(a="b")),
        ServiceUpdated(SERVICE, spec(1, a="b")),
        ServiceUpdated(SERVICE, replace(spec(1, a="b"), task_template=replace(spec().template, force_update=1))),
        reported(UpdateState.UPDATING),
        reported(UpdateState.COMPLETED),
        rolled_back(spec(1, a="b")),
        reported(UpdateState.ROLLBACK_COMPLETED),
        NodeUpdated(NODE, replace(ACTIVE, labels={"k": "v"})),
        NodeUpdated(NODE, replace(ACTIVE, availability=Availability.DRAIN)),
        NodeUpdated(NODE, ACTIVE),
        ServiceRemoved(SERVICE),
        SecretRemoved(SECRET),
        ConfigRemoved(CONFIG),
    )
    recorded = json.loads((Path(__file__).parent / "recorded" / "events.json").read_text())
    # the recording begins when the node is there already
    assert [{"kind": c.kind, "action": c.action, "attributes": c.attributes} for c in story[2:]] == recorded


def test_a_change_bears_the_position_and_time_of_its_record() -> None:
    changes = seen(ServiceCreated(SERVICE, spec()), ServiceRemoved(SERVICE))
    assert changes == [
        Change(Position(1), Instant(10), "service", "create", "w", {"name": "w"}),
        Change(Position(2), Instant(20), "service", "remove", "w", {"name": "w"}),
    ]


def test_an_update_tells_images_and_replicas_that_differ() -> None:
    assert last(ServiceCreated(SERVICE, spec()), ServiceUpdated(SERVICE, spec(0, "ip:v2"))) == {
        "name": "w",
        "image.old": "ip:v1",
        "image.new": "ip:v2",
        "replicas.old": "2",
        "replicas.new": "0",
    }


def test_a_service_without_replicas_tells_none() -> None:
    assert last(ServiceCreated(SERVICE, spec(None)), ServiceUpdated(SERVICE, spec(None))) == {"name": "w"}


def test_a_rollback_tells_what_it_brings_back_and_that_it_began() -> None:
    assert last(
        ServiceCreated(SERVICE, spec()), ServiceUpdated(SERVICE, spec(0)), rolled_back(spec())
    ) == {"name": "w", "replicas.old": "0", "replicas.new": "2", "updatestate.new": "rollback_started"}  # fmt: skip


def test_a_rollback_of_a_running_update_tells_both_states() -> None:
    attributes = last(ServiceCreated(SERVICE, spec()), reported(UpdateState.UPDATING), rolled_back(spec()))
    assert (attributes["updatestate.old"], attributes["updatestate.new"]) == ("updating", "rollback_started")


def test_an_update_that_clears_the_status_tells_nothing_of_it() -> None:
    assert last(
        ServiceCreated(SERVICE, spec()), reported(UpdateState.COMPLETED), ServiceUpdated(SERVICE, spec())
    ) == {"name": "w"}  # fmt: skip


def test_a_node_has_no_name_until_it_has_said_its_hostname() -> None:
    named = NodeDescription(hostname="node2")
    assert [c.attributes for c in seen(joined(hostname=""), NodeDescribed(NODE, named))] == [
        {"name": ""},
        {"name": "node2"},
    ]


def test_a_node_that_is_heard_lost_or_given_a_role_tells_so() -> None:
    changes = seen(
        joined(node_spec=replace(ACTIVE, role=Role.WORKER)),
        NodesObserved((NODE,), NodeState.READY),
        NodesObserved((NODE,), NodeState.DOWN, "heartbeat failure"),
        NodeUpdated(NODE, ACTIVE),
        NodeRemoved(NODE),
    )
    assert [(c.action, c.attributes) for c in changes] == [
        ("create", {"name": "node1"}),
        ("update", {"name": "node1", "state.old": "unknown", "state.new": "ready"}),
        ("update", {"name": "node1", "state.old": "ready", "state.new": "down"}),
        ("update", {"name": "node1", "role.old": "worker", "role.new": "manager"}),
        ("remove", {"name": "node1"}),
    ]


def test_a_network_is_made_written_once_more_by_the_allocator_and_removed() -> None:
    """Recorded in scenario 16; a node is written when it is attached to a network, and when it is so no more."""
    network = NetworkId("x")
    changes = seen(
        joined(),
        NetworkCreated(network, NetworkSpec(name="n1")),
        NetworkAllocated(network, (4096,), (IpamConfig("10.0.1.0/24", gateway="10.0.1.1"),)),
        NodeAttached(NODE, (NetworkAddress(network, "10.0.1.2/24"),)),
        NodeAttached(NODE, ()),
        NetworkRemoved(network),
    )
    assert [(c.kind, c.action, c.id, c.attributes) for c in changes[1:]] == [
        ("network", "create", "x", {"name": "n1"}),
        ("network", "update", "x", {"name": "n1"}),
        ("node", "update", "n", {"name": "node1"}),
        ("node", "update", "n", {"name": "node1"}),
        ("network", "remove", "x", {"name": "n1"}),
    ]


def test_nodes_that_are_observed_together_are_a_change_each() -> None:
    changes = seen(joined(), joined(NodeId("n2"), "node2"), NodesObserved((NODE, NodeId("n2")), NodeState.READY))
    assert [(c.position, c.id) for c in changes] == [(1, "n"), (2, "n2"), (3, "n"), (3, "n2")]


@pytest.mark.parametrize(
    "event",
    [
        EngineStarted(version="1"),
        SwarmLeft(),
        TasksCreated(SERVICE, Position(1), (TaskId("t"),), state=TaskState.NEW),
        TasksAllocated((TaskId("t"),)),
    ],
)
def test_the_swarm_itself_and_tasks_give_none(event: Event) -> None:
    assert describe(ClusterState(), Position(1), Instant(1), event) == ()


def test_what_gives_none_is_known_by_name() -> None:
    """An event that is new in the log must be thought of here too."""
    silent = {
        name for name in EVENTS if name.split(".", 1)[0] in ("engine", "swarm", "tasks", "attachment", "attachments")
    }
    # a service that is spread anew is not written anew
    silent |= {"service.rebalance-began/1", "service.rebalance-ended/1"}
    assert {name.split(".", 1)[0] for name in EVENTS} == {
        "engine", "swarm", "node", "nodes", "service", "tasks", "network", "secret", "config",
        "attachment", "attachments",
    }  # fmt: skip
    assert {name for name, kind in EVENTS.items() if kind not in _described()} == silent


def _described() -> frozenset[type[Event]]:
    from skep.core.changes import _DESCRIBE  # noqa: PLC0415 - only to prove the table complete

    return frozenset(_DESCRIBE)
