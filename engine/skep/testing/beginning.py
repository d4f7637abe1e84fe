"""How a swarm begins in tests: commands with everything that is secret made up."""

from skep.core.commands import InitSwarm, JoinNodes
from skep.model.ids import ClusterId, NetworkId, NodeId
from skep.model.node import EngineDescription, NodeDescription, NodeSpec
from skep.model.secret import Sealed
from skep.model.service import Platform, Reservations
from skep.model.states import Availability, Role
from skep.model.swarm import DEFAULT_SWARM_SPEC, JoinTokens, RootCa, SwarmSpec

CLUSTER = ClusterId("cluster".rjust(25, "0"))


def sealed(name: str) -> Sealed:
    """Return something that looks sealed."""
    return Sealed(name, b"ciphertext of " + name.encode(), b"mac of " + name.encode())


INGRESS = NetworkId("ingress".rjust(25, "0"))


def begin_swarm(spec: SwarmSpec = DEFAULT_SWARM_SPEC, *, ingress: bool = False) -> InitSwarm:
    """Return the command that begins a swarm; with its ingress network, as every real one is, if asked."""
    tokens = JoinTokens(sealed("worker"), sealed("manager"))
    root = RootCa("certificate", sealed("root"), "subject", "public key")
    return InitSwarm(CLUSTER, spec, root, tokens, ingress_id=INGRESS if ingress else None)


def join_nodes(*node_ids: str) -> JoinNodes:
    """Return the command by which these workers become members; their hostnames are their ids."""
    platform = Platform(architecture="x86_64", os="linux")
    return JoinNodes(
        node_ids=tuple(NodeId(i) for i in node_ids),
        specs=(NodeSpec(labels={}, role=Role.WORKER, availability=Availability.ACTIVE),) * len(node_ids),
        descriptions=tuple(NodeDescription(hostname=i, platform=platform) for i in node_ids),
        addrs=tuple(f"10.0.0.{number}" for number, _ in enumerate(node_ids, 1)),
        managers=(None,) * len(node_ids),
    )


def join_node(
    node_id: str,
    *,
    labels: dict[str, str] | None = None,
    resources: Reservations | None = None,
    engine: EngineDescription | None = None,
    platform: Platform | None = None,
) -> JoinNodes:
    """Return the command by which one worker becomes a member that says this of itself."""
    described = NodeDescription(hostname=node_id, platform=platform, resources=resources, engine=engine)
    spec = NodeSpec(labels=labels or {}, role=Role.WORKER, availability=Availability.ACTIVE)
    return JoinNodes((NodeId(node_id),), (spec,), (described,), ("10.0.0.1",), (None,))
