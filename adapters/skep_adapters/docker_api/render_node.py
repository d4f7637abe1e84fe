"""Nodes as the API shows them."""

from typing import Any

from msgspec.structs import replace
from skep.model.node import Node, TlsInfo
from skep.model.swarm import Cluster, issuing_root

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339


def render_node(node: Node, cluster: Cluster | None) -> dict[str, Any]:
    """Return a node; one that lives in this process trusts what the swarm does, without a certificate of its own."""
    description = node.description
    if description.tls_info is None and cluster is not None and not node.certified:
        issuer = issuing_root(cluster)
        info = TlsInfo(cluster.root.certificate, issuer.issuer_subject, issuer.issuer_public_key)
        description = replace(description, tls_info=info)
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
        "Description": render(description),
        "Status": status,
    }
    if node.manager is not None:
        manager: dict[str, Any] = {"Leader": True} if node.manager.leader else {}
        document["ManagerStatus"] = manager | {"Reachability": node.manager.reachability, "Addr": node.manager.addr}
    return document
