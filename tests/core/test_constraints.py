"""Placement constraints: their words, and the nodes that they fit (scenario 52)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.constraints import Constraint, matches, matches_all, parse, parse_all
from skep.core.rejected import Code, Rejected
from skep.model.ids import Instant, NodeId, Position
from skep.model.node import EngineDescription, Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.service import Platform
from skep.model.states import NodeState, Role

NODE = Node(
    id=NodeId("n1id"),
    spec=NodeSpec(name="not-asked", labels={"zone": "A", "Rack": "7"}, role=Role.WORKER),
    description=NodeDescription(
        hostname="node2",
        platform=Platform(architecture="x86_64", os="linux"),
        engine=EngineDescription(labels={"tier": "two"}),
    ),
    status=NodeStatus(state=NodeState.READY, addr="192.168.77.12"),
    version=Position(1),
    written=Position(1),
    created_at=Instant(1),
    updated_at=Instant(1),
)
BARE = Node(
    id=NodeId("n2id"),
    spec=NodeSpec(),
    description=NodeDescription(),
    status=NodeStatus(),
    version=Position(1),
    written=Position(1),
    created_at=Instant(1),
    updated_at=Instant(1),
)


def fits(text: str, node: Node = NODE) -> bool:
    return matches(parse(text), node)


@pytest.mark.parametrize(
    "text",
    [
        "node.id==n1id",
        "node.hostname==node2",
        "NODE.ROLE==Worker",
        " node.role == worker ",
        "node.role!=manager",
        "node.platform.os==LINUX",
        "node.platform.arch==x86_64",
        "node.labels.zone==a",
        "Node.Labels.zone==a",
        "node.labels.zone!=b",
        "node.labels.nothing!=b",
        "node.labels.zone==A",
        "engine.labels.tier==two",
        "node.ip==192.168.77.12",
        "node.ip!=192.168.77.13",
        "node.ip==192.168.77.12/31",
        "node.ip==192.168.77.13/24",
        "node.ip!=10.0.0.0/8",
        "node.ip==::ffff:192.168.77.12",
    ],
)
def test_a_node_fits(text: str) -> None:
    assert fits(text)


@pytest.mark.parametrize(
    "text",
    [
        "node.id==other",
        "node.id!=n1id",
        "node.hostname==not-asked",
        "node.platform.os==windows",
        "node.platform.arch==amd64",
        "node.labels.Zone==a",
        "node.labels.nothing==x",
        "engine.labels.tier!=two",
        "node.ip==192.168.77.13",
        "node.ip!=192.168.77.0/24",
        "node.ip==fe80::1",
    ],
)
def test_a_node_does_not_fit(text: str) -> None:
    assert not fits(text)


@pytest.mark.parametrize("operator", ["==", "!="])
@pytest.mark.parametrize("key", ["bogus.key", "node.name", "node.labels.", "engine.labels.", "node.labels", "zone"])
def test_an_unknown_key_fits_no_node_whatever_the_operator(key: str, operator: str) -> None:
    assert not fits(f"{key}{operator}1")


@pytest.mark.parametrize("operator", ["==", "!="])
@pytest.mark.parametrize("value", ["host", "1.2.3", "1.2.3.4/99", "1.2.3.4/", "1.2.3.4/-1", "192.168.77.0/255.255.0.0"])
def test_what_is_no_address_fits_no_node_whatever_the_operator(value: str, operator: str) -> None:
    assert not fits(f"node.ip{operator}{value}")


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("node.ip==2001:db8::2", True),
        ("node.ip==2001:DB8:0:0::2", True),
        ("node.ip!=2001:db8::3", True),
        ("node.ip==2001:db8::3", False),
        ("node.ip==2001:db8::/64", True),
        ("node.ip==2001:db8::ffff/64", True),
        ("node.ip!=2001:db8::/64", False),
        ("node.ip==2001:db9::/64", False),
        ("node.ip==192.168.77.12", False),
        ("node.ip==192.168.77.0/24", False),
        ("node.ip!=192.168.77.0/24", True),
    ],
)
def test_addresses_of_version_six_are_compared_and_are_in_networks_of_their_own_version(text: str, does: bool) -> None:
    assert fits(text, replace(NODE, status=NodeStatus(state=NodeState.READY, addr="2001:db8::2"))) is does


@pytest.mark.parametrize(
    ("texts", "does"),
    [
        (("node.role==worker", "node.labels.zone==a"), True),
        (("node.role==worker", "node.labels.zone!=a"), False),
        (("node.role==manager", "node.labels.zone==a"), False),
        (("node.role!=manager", "engine.labels.tier==two", "node.ip==192.168.77.0/24", "node.id!=other"), True),
        ((), True),
    ],
)
def test_of_several_constraints_all_must_be_fulfilled(texts: tuple[str, ...], does: bool) -> None:
    assert matches_all(texts, NODE) is does


def test_a_node_that_said_nothing_of_itself_has_empty_values() -> None:
    for key in ("node.hostname", "node.labels.a", "engine.labels.a", "node.platform.os", "node.platform.arch"):
        assert not fits(f"{key}==x", BARE)
        assert fits(f"{key}!=x", BARE)
    assert not fits("node.ip==10.0.0.1", BARE)
    assert fits("node.ip!=10.0.0.0/8", BARE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bogus", "constraint expected one operator from ==, !="),
        ("node.role=worker", "constraint expected one operator from ==, !="),
        ("", "constraint expected one operator from ==, !="),
        ("==x", "key '' is invalid"),
        ("node role==x", "key 'node role' is invalid"),
        ("1key==x", "key '1key' is invalid"),
        ("node.role==bad value!", "value 'bad value!' is invalid"),
        ("node.role==", "value '' is invalid"),
        ("node.role==a==b", "value 'a==b' is invalid"),
    ],
)
def test_what_is_no_constraint_is_refused_in_swarm_s_words_and_without_a_code(text: str, message: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse(text)
    assert (str(caught.value), caught.value.code, caught.value.bare) == (message, Code.UNKNOWN, False)


def test_the_first_that_is_none_is_named() -> None:
    assert parse_all(["node.id==a", "node.role!=b"]) == (
        Constraint("node.id", equal=True, value="a"),
        Constraint("node.role", equal=False, value="b"),
    )
    with pytest.raises(Rejected, match="value 'c!' is invalid"):
        parse_all(["node.id==a", "node.id==c!", "bogus"])


KEYS = [
    "node.id",
    "node.hostname",
    "node.role",
    "node.platform.os",
    "node.labels.zone",
    "engine.labels.tier",
    "node.ip",
]


@given(
    st.sampled_from(KEYS), st.sampled_from(["n1id", "node2", "worker", "linux", "a", "two", "192.168.77.12", "1.1.1.1"])
)
def test_equal_and_not_equal_exclude_each_other(key: str, value: str) -> None:
    equal, unequal = fits(f"{key}=={value}"), fits(f"{key}!={value}")
    # an ip that is none fits neither way
    assert equal != unequal or (key == "node.ip" and not equal)


@given(st.sampled_from(KEYS), st.sampled_from(["n1id", "node2", "worker", "linux", "a", "two"]), st.booleans())
def test_case_makes_no_difference_to_values_and_plain_keys(key: str, value: str, equal: bool) -> None:
    constraint = Constraint(key, equal, value)
    assert matches(constraint, NODE) == matches(Constraint(key, equal, value.upper()), NODE)


@given(st.text(max_size=30))
def test_a_constraint_says_itself(text: str) -> None:
    try:
        constraint = parse(text)
    except Rejected:
        return
    assert parse(str(constraint)) == constraint
