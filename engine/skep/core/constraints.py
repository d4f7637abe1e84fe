"""Placement constraints: what a spec says, and which nodes it fits.

    node.id | node.hostname | node.role | node.ip | node.platform.os | node.platform.arch
    node.labels.KEY | engine.labels.KEY          followed by  ==  or  !=  and a value

Pure. Keys and values are compared without regard to case, the KEY of a label with it; a label that a node has not is
empty; a key that means nothing fits no node, whatever the operator (FACTS, chapter 8; scenario 52). `node.ip` takes an
address or a network. Values are compared as the node says them: an architecture is what its engine reports.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct

from skep.core.rejected import Rejected
from skep.model.node import Node
from skep.model.states import Role

_KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]+")
#: All but what might be an operator one day.
_VALUE = re.compile(r"[a-zA-Z0-9:\-_ \t\n\f\r.*()?+\[\]\\^$|/]+")

_NODE_LABEL = "node.labels."
_ENGINE_LABEL = "engine.labels."
_NONE: dict[str, str] = {}


class Constraint(Struct, frozen=True):
    """One condition: the node's value of `key` is `value`, or is not if `equal` is false."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.equal else '!='} {self.value}"


def parse(text: str) -> Constraint:
    """Return the constraint that `text` says.

    Raises:
        Rejected: it is none; in Swarm's words, and with no code of its own (the API answers 500).
    """
    for operator in ("==", "!="):
        key, found, value = text.partition(operator)
        if not found:
            continue
        key, value = key.strip(), value.strip()
        if not _KEY.fullmatch(key):
            raise Rejected.unknown(f"key '{key}' is invalid")
        if not _VALUE.fullmatch(value):
            raise Rejected.unknown(f"value '{value}' is invalid")
        return Constraint(key, operator == "==", value)
    raise Rejected.unknown("constraint expected one operator from ==, !=")


def parse_all(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Return the constraints of a placement; raise `Rejected` for the first that is none."""
    return tuple(parse(text) for text in texts)


def matches_all(texts: Iterable[str], node: Node) -> bool:
    """Whether `node` fulfils all the constraints of a placement."""
    return all(matches(parse(text), node) for text in texts)


def matches(constraint: Constraint, node: Node) -> bool:
    """Whether `node` fulfils `constraint`."""
    return matcher(constraint)(node)


def matcher(constraint: Constraint) -> Callable[[Node], bool]:
    """Return what says whether a node fulfils `constraint`: for asking many."""
    key, equal, value = constraint.key.lower(), constraint.equal, constraint.value.casefold()
    if key == "node.ip":
        return lambda node: _matches_address(constraint, node.status.addr)
    if key.startswith(_NODE_LABEL) and len(key) > len(_NODE_LABEL):
        label = constraint.key[len(_NODE_LABEL) :]
        return lambda node: ((node.spec.labels or _NONE).get(label, "").casefold() == value) is equal
    if key.startswith(_ENGINE_LABEL) and len(key) > len(_ENGINE_LABEL):
        label = constraint.key[len(_ENGINE_LABEL) :]
        return lambda node: (_engine_label(node, label).casefold() == value) is equal
    read = _READ.get(key)
    if read is None:
        return lambda node: False  # noqa: ARG005 - whatever node
    return lambda node: (read(node).casefold() == value) is equal


def _engine_label(node: Node, label: str) -> str:
    engine = node.description.engine
    return engine.labels.get(label, "") if engine is not None else ""


def _matches_address(constraint: Constraint, addr: str) -> bool:
    """Whether an address is the one, or in the network, that is meant; what is neither of them fits no node."""
    own = _address(addr)
    wanted = _address(constraint.value)
    if wanted is not None:
        return (own == wanted) is constraint.equal
    if not constraint.value.rpartition("/")[2].isdecimal():
        return False  # a mask in place of a length is Python's
    try:
        network = ip_network(constraint.value, strict=False)
    except ValueError:
        return False
    return (own is not None and own in network) is constraint.equal


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _os(node: Node) -> str:
    return node.description.platform.os if node.description.platform else ""


def _architecture(node: Node) -> str:
    return node.description.platform.architecture if node.description.platform else ""


_READ: dict[str, Callable[[Node], str]] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.description.hostname,
    "node.role": lambda node: node.spec.role or Role.WORKER,
    "node.platform.os": _os,
    "node.platform.arch": _architecture,
}
