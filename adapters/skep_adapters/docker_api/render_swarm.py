"""The swarm as the API shows it: `GET /swarm`, and its part of `GET /info`."""

from typing import Any

from skep.core.state import ClusterState
from skep.model.ids import NodeId
from skep.model.swarm import Cluster, issuing_root

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339

#: `Swarm` of /info where there is none (recorded in scenario 01).
INACTIVE: dict[str, Any] = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}


#: Swarm's own pool, which a manager of it names only when it goes on from what was (recorded in scenarios 02 and 54).
DEFAULT_ADDR_POOL = ["10.0.0.0/8"]


def render_swarm(cluster: Cluster, *, resumed: bool = False, tokens: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return the swarm; `tokens` are its join tokens in plain, for workers and for managers."""
    issuer = issuing_root(cluster)
    document: dict[str, Any] = {
        "ID": cluster.id,
        "Version": {"Index": cluster.version},
        "CreatedAt": rfc3339(cluster.created_at),
        "UpdatedAt": rfc3339(cluster.updated_at),
        "Spec": render(cluster.spec),
        "TLSInfo": {
            "TrustRoot": cluster.root.certificate,
            "CertIssuerSubject": issuer.issuer_subject,
            "CertIssuerPublicKey": issuer.issuer_public_key,
        },
        "RootRotationInProgress": cluster.rotation is not None,
        "DefaultAddrPool": list(cluster.default_addr_pool) or (DEFAULT_ADDR_POOL if resumed else None),
        "SubnetSize": cluster.subnet_size,
        "DataPathPort": cluster.data_path_port,
    }
    if tokens is not None:
        document["JoinTokens"] = {"Worker": tokens[0], "Manager": tokens[1]}
    return document


def render_active(state: ClusterState, node_id: NodeId, addr: str, *, resumed: bool = False) -> dict[str, Any]:
    """Return `Swarm` of /info on the manager `node_id`, whose address is `addr`."""
    managers = [node for node in state.nodes.values() if node.manager is not None]
    document: dict[str, Any] = {
        "NodeID": node_id,
        "NodeAddr": addr,
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Error": "",
        "RemoteManagers": [{"NodeID": n.id, "Addr": n.manager.addr} for n in managers if n.manager is not None],
        "Nodes": len(state.nodes),
        "Managers": len(managers),
    }
    if state.cluster is not None:
        document["Cluster"] = render_swarm(state.cluster, resumed=resumed)
    return document
