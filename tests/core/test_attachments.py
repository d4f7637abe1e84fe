"""Attachments: containers that people run on nodes, on networks of the swarm."""

import pytest
import skep
from msgspec.structs import replace
from skep.core.codec import decode_state, encode_state
from skep.core.commands import (
    AttachContainer,
    CreateNetwork,
    DetachContainer,
    EndAttachments,
    ObserveNodes,
    RemoveNetwork,
    RemoveNode,
    ReportTasks,
)
from skep.core.decide.attachment import NODE_ATTACHMENTS_MAX
from skep.core.events import AttachmentCreated, AttachmentsEnded, AttachmentsReported
from skep.core.invariants import check, story
from skep.core.lookup import find_attachment
from skep.core.rejected import Broken, Code, Rejected
from skep.model.attachment import Attachment
from skep.model.container import Driver
from skep.model.ids import NetworkId, NodeId, Position, TaskId
from skep.model.network import Ipam, IpamConfig
from skep.model.states import Availability, NodeState, TaskState
from skep.model.task import TaskStatus
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising

NODE, OTHER = NodeId("node-1"), NodeId("node-2")
NET, NET_2 = NetworkId("inside-id"), NetworkId("second-id")
DAY_S = 24 * 3600.0


def a_swarm(subnet: str = "10.5.0.0/24", *, attachable: bool = True) -> CoreSwarm:
    """Return a swarm of two nodes with a network."""
    swarm = CoreSwarm()
    spec = replace(skep.network_spec("inside", subnets=[subnet]), attachable=attachable)
    swarm.submit(CreateNetwork(NET, spec))
    swarm.settle()
    return swarm


def attach(
    swarm: CoreSwarm, number: int = 1, *addresses: str, node: NodeId = NODE, target: str = "inside", container: str = ""
) -> str:
    """Attach a container, and return its address."""
    attachment_id = TaskId(f"a{number}")
    swarm.submit(AttachContainer(attachment_id, node, target, container or f"container-{number}", addresses))
    swarm.settle()
    return swarm.state.attachments[attachment_id].addr


def refused(swarm: CoreSwarm, *addresses: str, target: str = "inside", node: NodeId = NODE) -> tuple[Code, str]:
    before = encode_state(swarm.state)
    with raising(Rejected) as caught:
        swarm.submit(AttachContainer(TaskId("refused"), node, target, "container", addresses))
    assert encode_state(swarm.state) == before
    assert isinstance(caught.error, Rejected)
    return caught.error.code, str(caught.error)


def detach(swarm: CoreSwarm, number: int, node: NodeId = NODE) -> None:
    swarm.submit(DetachContainer(node, TaskId(f"a{number}")))
    swarm.settle()


def own(swarm: CoreSwarm, node: NodeId = NODE) -> list[str]:
    return [given.addr for given in swarm.state.nodes[node].attachments]


def report(swarm: CoreSwarm, number: int, state: TaskState, node: NodeId = NODE, err: str = "") -> None:
    status = TaskStatus(state, swarm.now, state.word, err)
    swarm.submit(ReportTasks(node, (TaskId(f"a{number}"),), (status,)))
    swarm.settle()


# --- who may join what


def test_a_container_gets_the_next_address_and_its_node_one_of_its_own() -> None:
    swarm = a_swarm()
    assert attach(swarm) == "10.5.0.2/24"
    assert own(swarm) == ["10.5.0.3/24"]
    assert attach(swarm, 2) == "10.5.0.4/24"
    assert attach(swarm, 3, node=OTHER) == "10.5.0.5/24"
    assert own(swarm, OTHER) == ["10.5.0.6/24"]
    assert swarm.state.attachments[TaskId("a1")].status.state is TaskState.ASSIGNED
    swarm.check()


def test_a_network_is_named_by_its_id_too() -> None:
    swarm = a_swarm()
    assert attach(swarm, target=NET) == "10.5.0.2/24"


@pytest.mark.parametrize("target", ["none", "insid", NET[:5], "INSIDE"])
def test_a_name_that_is_no_network_of_the_swarm_is_not_found(target: str) -> None:
    assert refused(a_swarm(), target=target) == (Code.NOT_FOUND, f"network {target} not found")


def test_a_network_that_is_not_attachable_is_refused_in_swarms_words() -> None:
    """As recorded in scenario 16."""
    swarm = a_swarm(attachable=False)
    assert refused(swarm) == (Code.PERMISSION_DENIED, "network inside not manually attachable")


def test_a_network_without_a_subnet_is_refused() -> None:
    swarm = a_swarm("10.5.0.0/16")
    spec = replace(skep.network_spec("second", subnets=["10.5.7.0/24"]), attachable=True)
    swarm.submit(CreateNetwork(NET_2, spec))
    swarm.settle()
    assert refused(swarm, target="second") == (Code.FAILED_PRECONDITION, "network second has no subnet yet")


def test_a_node_that_is_no_member_or_is_down_attaches_nothing() -> None:
    swarm = a_swarm()
    swarm.observe(OTHER, NodeState.DOWN)
    assert refused(swarm, node=OTHER) == (Code.FAILED_PRECONDITION, "node node-2 is down")
    assert refused(swarm, node=NodeId("gone")) == (Code.NOT_FOUND, "node gone not found")


@pytest.mark.parametrize("availability", [Availability.DRAIN, Availability.PAUSE])
def test_whether_a_node_takes_tasks_is_not_asked(availability: Availability) -> None:
    """Skep's own: SwarmKit's scheduler would let the person wait in vain."""
    swarm = a_swarm()
    swarm.avail(NODE, availability)
    assert attach(swarm) == "10.5.0.2/24"
    swarm.advance(DAY_S * 2)
    assert [*swarm.state.attachments] == ["a1"]
    swarm.check()


def test_a_node_has_only_so_many() -> None:
    swarm = a_swarm("10.5.0.0/16")
    for number in range(NODE_ATTACHMENTS_MAX):
        swarm.submit(AttachContainer(TaskId(f"a{number}"), NODE, NET, f"container-{number}"))
    code, words = refused(swarm)
    assert (code, words) == (
        Code.RESOURCE_EXHAUSTED,
        f"node node-1 has {NODE_ATTACHMENTS_MAX} containers on networks, which is the most",
    )
    swarm.submit(AttachContainer(TaskId("other"), OTHER, NET, "container"))
    check(swarm.state)


# --- which address


def test_an_address_that_is_asked_for_is_given_and_the_next_one_goes_on_from_before() -> None:
    swarm = a_swarm()
    assert attach(swarm, 1, "10.5.0.77") == "10.5.0.77/24"
    assert attach(swarm, 2, "10.5.0.78/24") == "10.5.0.78/24"
    assert attach(swarm, 3) == "10.5.0.3/24"
    swarm.check()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.6.0.1", "address 10.6.0.1 is none that network inside gives"),
        ("10.5.0.0", "address 10.5.0.0 is none that network inside gives"),
        ("10.5.0.1", "address 10.5.0.1 is none that network inside gives"),
        ("10.5.0.255", "address 10.5.0.255 is none that network inside gives"),
        ("::a05:7", "address ::a05:7 is none that network inside gives"),
        ("bogus", "the address that is asked for is none"),
        ("", "the address that is asked for is none"),
        ("1" * 100_000, "the address that is asked for is none"),
    ],
)
def test_an_address_that_the_network_does_not_give_is_refused(address: str, words: str) -> None:
    assert refused(a_swarm(), address) == (Code.INVALID_ARGUMENT, words)


def test_an_address_that_somebody_has_is_refused() -> None:
    swarm = a_swarm()
    attach(swarm)
    for taken in ("10.5.0.2", "10.5.0.3"):
        assert refused(swarm, taken) == (Code.FAILED_PRECONDITION, f"address {taken} of network inside is in use")


def test_two_addresses_cannot_be_asked_for() -> None:
    words = "one address of network inside can be asked for, not 2"
    assert refused(a_swarm(), "10.5.0.7", "10.5.0.8") == (Code.INVALID_ARGUMENT, words)


def test_a_full_network_is_refused_at_once_and_the_last_address_is_kept_for_the_node() -> None:
    swarm = a_swarm("10.5.0.0/29")  # five addresses
    for number in range(4):
        attach(swarm, number)
    full = (Code.FAILED_PRECONDITION, "no address left on network inside")
    assert refused(swarm) == full
    detach(swarm, 0)
    assert refused(swarm, node=OTHER) == full, "one is free, but its node would have none"
    assert attach(swarm, 5) == "10.5.0.2/29"
    swarm.check()


def test_a_network_whose_addresses_are_each_nodes_own_gives_none() -> None:
    swarm = CoreSwarm()
    spec = replace(skep.network_spec("inside"), driver=Driver("macvlan"), attachable=True)
    swarm.submit(CreateNetwork(NET, spec))
    swarm.settle()
    assert attach(swarm) == ""
    with raising(Rejected):
        swarm.submit(RemoveNetwork(NET))
    detach(swarm, 1)
    swarm.submit(RemoveNetwork(NET))
    swarm.check()


def test_a_range_within_the_subnet_gives_its_own_addresses_only() -> None:
    swarm = CoreSwarm()
    ipam = Ipam(configs=(IpamConfig(subnet="10.5.0.0/24", ip_range="10.5.0.128/25"),))
    swarm.submit(CreateNetwork(NET, replace(skep.network_spec("inside"), ipam=ipam, attachable=True)))
    swarm.settle()
    assert refused(swarm, "10.5.0.9")[0] is Code.INVALID_ARGUMENT
    assert attach(swarm, 1, "10.5.0.200") == "10.5.0.200/24"
    swarm.check()


# --- how it ends


def test_a_container_that_is_detached_frees_its_address_and_that_of_its_node() -> None:
    swarm = a_swarm()
    attach(swarm)
    attach(swarm, 2)
    detach(swarm, 1)
    assert own(swarm) == ["10.5.0.3/24"]
    detach(swarm, 2)
    assert (swarm.state.attachments, swarm.state.addresses, own(swarm)) == ({}, {}, [])
    swarm.check()


def test_only_its_own_node_detaches_a_container() -> None:
    swarm = a_swarm()
    attach(swarm)
    with raising(Rejected) as caught:
        detach(swarm, 1, node=OTHER)
    assert isinstance(caught.error, Rejected)
    assert (caught.error.code, str(caught)) == (Code.PERMISSION_DENIED, "attachment a1 doesn't belong to this node")
    with raising(Rejected) as caught:
        detach(swarm, 2)
    assert isinstance(caught.error, Rejected)
    assert (caught.error.code, str(caught)) == (Code.NOT_FOUND, "attachment a2 not found")


def test_reports_are_taken_from_its_own_node_and_never_go_back() -> None:
    swarm = a_swarm()
    attach(swarm)
    report(swarm, 1, TaskState.RUNNING)
    report(swarm, 1, TaskState.PREPARING)
    report(swarm, 1, TaskState.FAILED, node=OTHER)
    assert swarm.state.attachments[TaskId("a1")].status.state is TaskState.RUNNING
    assert len(swarm.events(AttachmentsReported)) == 1
    swarm.check()


@pytest.mark.parametrize("state", [TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED, TaskState.SHUTDOWN])
def test_one_that_is_said_to_have_ended_is_forgotten_and_the_log_says_how(state: TaskState) -> None:
    swarm = a_swarm()
    attach(swarm)
    report(swarm, 1, state, err="why")
    said, ended = swarm.events(AttachmentsReported, AttachmentsEnded)
    assert isinstance(said, AttachmentsReported)
    assert [(status.state, status.err) for status in said.statuses] == [(state, "why")]
    assert ended == AttachmentsEnded((TaskId("a1"),))
    assert swarm.state.addresses == {}
    report(swarm, 1, state, err="again")
    swarm.check()


def test_a_container_that_joins_again_leaves_first() -> None:
    """Its engine could not say that it had left: the manager was not there."""
    swarm = a_swarm()
    attach(swarm, 1, "10.5.0.9")
    assert attach(swarm, 2, "10.5.0.9", container="container-1") == "10.5.0.9/24"
    assert [*swarm.state.attachments] == ["a2"]
    assert attach(swarm, 3, node=OTHER, container="container-1") == "10.5.0.3/24"
    assert [*swarm.state.attachments] == ["a2", "a3"]
    swarm.check()


def test_a_command_that_comes_twice_counts_once() -> None:
    swarm = a_swarm()
    attach(swarm)
    attach(swarm)
    assert len(swarm.events(AttachmentCreated)) == 1
    swarm.submit(EndAttachments((TaskId("a1"), TaskId("unknown"))))
    swarm.submit(EndAttachments((TaskId("a1"),)))
    assert swarm.events(AttachmentsEnded) == [AttachmentsEnded((TaskId("a1"),))]


def test_a_network_with_a_container_on_it_is_in_use() -> None:
    """In the words recorded in scenario 16."""
    swarm = a_swarm()
    attach(swarm)
    with raising(Rejected) as caught:
        swarm.submit(RemoveNetwork(NET))
    assert isinstance(caught.error, Rejected)
    assert (caught.error.code, str(caught)) == (Code.FAILED_PRECONDITION, f"network {NET} is in use by task a1")
    detach(swarm, 1)
    swarm.submit(RemoveNetwork(NET))
    swarm.check()


def test_a_node_that_is_removed_takes_its_containers_with_it() -> None:
    swarm = a_swarm()
    attach(swarm)
    attach(swarm, 2, node=OTHER)
    swarm.submit(RemoveNode(NODE, force=True))
    swarm.settle()
    assert [*swarm.state.attachments] == ["a2"]
    assert [*swarm.state.addresses[NET].values()] == ["a2", OTHER]
    swarm.check()


def test_those_of_a_node_that_is_down_are_given_up_after_a_day() -> None:
    swarm = a_swarm()
    service = swarm.create(skep.service_spec("web", "demo", replicas=2))
    swarm.quiet()
    attach(swarm)
    attach(swarm, 2, node=OTHER)
    swarm.observe(NODE, NodeState.DOWN)
    swarm.advance(DAY_S - 60)
    assert [*swarm.state.attachments] == ["a1", "a2"]
    swarm.advance(120)
    assert [*swarm.state.attachments] == ["a2"]
    assert swarm.running(service) == 2
    swarm.check()


def test_one_whose_node_comes_back_in_time_stays() -> None:
    swarm = a_swarm()
    attach(swarm)
    swarm.observe(NODE, NodeState.DOWN)
    swarm.advance(DAY_S / 2)
    swarm.submit(ObserveNodes((NODE,), NodeState.READY))
    swarm.advance(DAY_S)
    assert [*swarm.state.attachments] == ["a1"]
    swarm.check()


# --- what is kept


def test_a_snapshot_has_them() -> None:
    swarm = a_swarm()
    attach(swarm)
    again = decode_state(encode_state(swarm.state))
    assert again.attachments == swarm.state.attachments
    assert (again.network_attachments, again.node_attachments) == ({NET: {"a1": None}}, {NODE: {"a1": None}})
    check(again)
    assert find_attachment(again, "a") is again.attachments[TaskId("a1")]


def broken(swarm: CoreSwarm, one: Attachment) -> str:
    """Return what is found where an attachment is put beside those that there are."""
    state = swarm.state.copy()
    state.attachments[one.id] = one
    with raising(Broken) as caught:
        check(state)
    return str(caught.error).partition("\n")[0].partition(": ")[2]


def test_what_cannot_be_is_found() -> None:
    swarm = a_swarm()
    attach(swarm)
    one = swarm.state.attachments[TaskId("a1")]
    two = replace(one, id=TaskId("a2"))
    assert broken(swarm, two) == "10.5.0.2/24 of network inside-id is both a1's and a2's"
    assert "on a node or a network that is unknown" in broken(swarm, replace(two, node_id=NodeId("gone")))
    assert "is failed" in broken(swarm, replace(one, status=TaskStatus(TaskState.FAILED, swarm.now)))
    assert "newer than the state" in broken(swarm, replace(one, version=Position(999)))
    assert "addresses are held" in broken(swarm, replace(two, addr="10.5.0.9/24"))
    assert "index n" in broken(swarm, replace(two, addr=""))
    assert '"container-1"' in story(swarm.state, "a1")
