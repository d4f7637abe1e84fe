"""How a swarm begins in tests: commands with everything that is secret made up."""

from skep.core.commands import InitSwarm, JoinNodes
from skep.model.ids import ClusterId, NodeId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import Sealed
from skep.model.service import Platform
from skep.model.states import Availability, Role
from skep.model.swarm import DEFAULT_SWARM_SPEC, JoinTokens, RootCa, SwarmSpec

CLUSTER = ClusterId("cluster".rjust(25, "0"))


def sealed(name: str) -> Sealed:
    """Return something that looks sealed."""
    return Sealed(name, b"ciphertext of " + name.encode(), b"mac of " + name.encode())


def begin_swarm(spec: SwarmSpec = DEFAULT_SWARM_SPEC) -> InitSwarm:
    """Return the command that begins a swarm."""
    tokens = JoinTokens(sealed("worker"), sealed("manager"))
    return InitSwarm(CLUSTER, spec, RootCa("certificate", sealed("root"), "subject", "public key"), tokens)


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
