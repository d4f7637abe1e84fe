"""Nodes as the API shows them."""

from typing import Any

from skep.model.node import Node

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339


def render_node(node: Node) -> dict[str, Any]:
    """Return a node."""
    status: dict[str, Any] = {"State": node.status.state.value}
    if node.status.message:
        status["Message"] = node.status.message
    status["Addr"] = node.status.addr
    document: dict[str, Any] = {
        "ID": node.id,
        "Version": {"Index": node.version},
        "CreatedAt": rfc3339(node.created_at),
        "UpdatedAt": rfc3339(node.updated_at),
        "Spec": render(node.spec),
        "Description": render(node.description),
        "Status": status,
    }
    if node.manager is not None:
        manager: dict[str, Any] = {"Leader": True} if node.manager.leader else {}
        document["ManagerStatus"] = manager | {"Reachability": node.manager.reachability, "Addr": node.manager.addr}
    return document
