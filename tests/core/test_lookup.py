"""Finding things by id, name or prefix of the id; words as in scenarios 04, 14, 19, 27."""

from collections.abc import Callable
from typing import Any

import pytest
from skep.core.events import ConfigCreated, Event, NodesJoined, SecretCreated, ServiceCreated, TasksCreated
from skep.core.fold import fold
from skep.core.lookup import find_config, find_node, find_secret, find_service, find_task
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.ids import ConfigId, Instant, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ServiceSpec

Find = Callable[[ClusterState, str], Any]
ALL: list[tuple[str, Find]] = [
    ("service", find_service),
    ("secret", find_secret),
    ("config", find_config),
    ("node", find_node),
    ("task", find_task),
]


def given(*events: Event) -> ClusterState:
    state = ClusterState()
    fold(state, Position(1), Instant(1), "", events)
    return state


def service(object_id: str, name: str) -> Event:
    return ServiceCreated(ServiceId(object_id), ServiceSpec(name=name))


def nodes(**hostnames: str) -> Event:
    count = len(hostnames)
    return NodesJoined(
        node_ids=tuple(map(NodeId, hostnames)),
        specs=tuple(NodeSpec(name=f"spec-name-of-{node_id}") for node_id in hostnames),
        descriptions=tuple(NodeDescription(hostname=hostname) for hostname in hostnames.values()),
        addrs=("",) * count,
        managers=(None,) * count,
    )


def three_of_each() -> ClusterState:
    return given(
        service("wa1", "s1"),
        service("wa2", "s2"),
        service("x3", "wa"),
        *(SecretCreated(SecretId(i), SecretSpec(name=n)) for i, n in (("wa1", "s1"), ("wa2", "s2"), ("x3", "wa"))),
        *(ConfigCreated(ConfigId(i), ConfigSpec(name=n)) for i, n in (("wa1", "s1"), ("wa2", "s2"), ("x3", "wa"))),
        nodes(wa1="s1", wa2="s2", x3="wa"),
        TasksCreated(ServiceId("wa1"), Position(1), (TaskId("wa1"), TaskId("wa2"), TaskId("x3"))),
    )


def refusal(find: Find, state: ClusterState, ref: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        find(state, ref)
    assert caught.value.bare
    return caught.value


@pytest.mark.parametrize(("kind", "find"), ALL)
def test_an_id_and_a_prefix_that_only_one_has_find_it(kind: str, find: Find) -> None:
    state = three_of_each()
    assert find(state, "wa1").id == "wa1", kind
    assert find(state, "x").id == "x3", kind


@pytest.mark.parametrize(("kind", "find"), [row for row in ALL if row[0] != "task"])
def test_an_exact_name_wins_over_a_prefix(kind: str, find: Find) -> None:
    assert find(three_of_each(), "wa").id == "x3", kind


@pytest.mark.parametrize(("kind", "find"), ALL)
def test_a_prefix_of_two_is_ambiguous(kind: str, find: Find) -> None:
    rejected = refusal(find, three_of_each(), "w")
    assert (str(rejected), rejected.code) == (f"{kind} w is ambiguous (2 matches found)", Code.INVALID_ARGUMENT)


@pytest.mark.parametrize(("kind", "find"), ALL)
@pytest.mark.parametrize("ref", ["nope", "", "wa11"])
def test_what_nothing_has_is_not_found(kind: str, find: Find, ref: str) -> None:
    rejected = refusal(find, three_of_each(), ref)
    assert (str(rejected), rejected.code) == (f"{kind} {ref} not found", Code.NOT_FOUND)


def test_a_service_is_called_by_its_own_case() -> None:
    state = given(service("a1", "Web"))
    assert find_service(state, "Web").id == "a1"
    assert str(refusal(find_service, state, "web")) == "service web not found"


def test_an_id_wins_over_another_s_name() -> None:
    state = given(service("a1", "b2"), service("b2", "c"))
    assert find_service(state, "b2").id == "b2"


def test_a_task_has_no_name() -> None:
    assert str(refusal(find_task, three_of_each(), "s1.1")) == "task s1.1 not found"


def test_a_node_is_not_called_by_the_name_in_its_spec() -> None:
    assert str(refusal(find_node, three_of_each(), "spec-name-of-wa1")) == "node spec-name-of-wa1 not found"


def test_a_hostname_of_two_nodes_is_ambiguous() -> None:
    state = given(nodes(a1="host", b1="host"))
    assert str(refusal(find_node, state, "host")) == "node host is ambiguous (2 matches found)"


@pytest.mark.parametrize("ref", ["self", "*"])
def test_no_word_is_special(ref: str) -> None:
    assert str(refusal(find_node, three_of_each(), ref)) == f"node {ref} not found"
