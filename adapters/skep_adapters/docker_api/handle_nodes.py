"""What is asked of nodes."""

from collections.abc import Callable

from aiohttp import web
from skep.core.lookup import find_node
from skep.core.state import ClusterState
from skep.model.node import Node, NodeSpec
from skep.model.states import Role
from skep.model.swarm import Cluster

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import chosen, empty_answer, json_answer, list_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, bad_request
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_node import render_node

_MEMBERSHIPS = frozenset({"accepted", "pending"})


async def list_nodes(call: Call) -> web.StreamResponse:
    """Answer the nodes that the filters want, by id; by hostname if they are wanted by name."""
    filters = call.filters(status=500)

    def ask(state: ClusterState) -> tuple[list[Node], Cluster | None]:
        filters.check(known.NODE)
        _check_words(filters)
        return list(state.nodes.values()), state.cluster

    found, cluster = await call.read(ask)
    nodes = await chosen(found, lambda node: _fits(filters, node), _order(filters))
    return await list_answer(call.request, nodes, lambda node: render_node(node, cluster))


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one node."""
    node, cluster = await call.read(lambda state: (find_node(state, call.ref), state.cluster))
    return json_answer(render_node(node, cluster))


async def update(call: Call) -> web.StreamResponse:
    """Give a node a new spec: labels, role, availability."""
    spec = await call.body(NodeSpec)
    version = call.version("node")
    node = await call.read(lambda state: _with_words(find_node(state, call.ref), spec))
    await call.cluster.nodes.update(node.id, version, spec, actor=call.actor)
    return empty_answer()


async def remove(call: Call) -> web.StreamResponse:
    """Strike a node from the members."""
    node = await call.read(lambda state: find_node(state, call.ref))
    await call.cluster.nodes.remove(node.id, force=call.lenient("force"), actor=call.actor)
    return empty_answer()


def _with_words(node: Node, spec: NodeSpec) -> Node:
    """Return `node` if `spec` says all that a node's spec must."""
    if spec.role is None:
        raise bad_request('invalid Role: ""')
    if spec.availability is None:
        raise bad_request('invalid Availability: ""')
    return node


def _check_words(filters: Filters) -> None:
    for word in filters.get("role"):
        if word not in tuple(Role):
            raise ApiError(500, f"Invalid role filter: '{word}'")
    for word in filters.get("membership"):
        if word not in _MEMBERSHIPS:
            raise ApiError(500, f"Invalid membership filter: '{word}'")


def _fits(filters: Filters, node: Node) -> bool:
    engine = node.description.engine
    return (
        filters.prefix("id", node.id)
        and filters.prefix("name", node.description.hostname)
        and filters.exact("role", node.spec.role or Role.WORKER)
        # the API's specs have no membership, which is read as "pending"; nothing else comes of it (recorded)
        and filters.exact("membership", "pending" if node.respecified else "accepted")
        and filters.labels("label", engine.labels if engine else None)
        and filters.labels("node.label", node.spec.labels)
    )


def _order(filters: Filters) -> Callable[[Node], str]:
    if "name" in filters:
        return lambda node: node.description.hostname
    return lambda node: node.id
