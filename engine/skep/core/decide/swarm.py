"""Decisions about the swarm itself."""

from skep.core.commands import InitSwarm, LeaveSwarm, ReplaceRoot, RotateNetworkKeys, StartEngine, UpdateSwarm
from skep.core.decide.versions import check_version
from skep.core.events import (
    EngineStarted,
    Event,
    NetworkCreated,
    SwarmInitialized,
    SwarmKeysRotated,
    SwarmLeft,
    SwarmRootReplaced,
    SwarmUpdated,
)
from skep.core.rejected import Rejected
from skep.core.rules.network import is_subnet
from skep.core.rules.swarm import check_swarm, needs_certificate, stored_swarm, updated_swarm
from skep.core.state import ClusterState
from skep.core.subnets import parse_subnet
from skep.model.network import INGRESS


def start_engine(state: ClusterState, command: StartEngine) -> tuple[Event, ...]:  # noqa: ARG001 - always a fact
    """Note a start."""
    return (EngineStarted(version=command.version, hostname=command.hostname),)


def init_swarm(state: ClusterState, command: InitSwarm) -> tuple[Event, ...]:
    """Begin a swarm, once in a log."""
    if state.cluster is not None or state.left:
        raise Rejected.precondition("this log already holds a swarm")
    check_swarm(command.spec, new=True)
    _check_pools(command)
    begun = (
        SwarmInitialized(
            cluster_id=command.cluster_id,
            spec=stored_swarm(command.spec),
            root=command.root,
            tokens=command.tokens,
            unlock_key=command.unlock_key,
            default_addr_pool=command.default_addr_pool,
            subnet_size=command.subnet_size,
            data_path_port=command.data_path_port,
        ),
    )
    return begun if command.ingress_id is None else (*begun, NetworkCreated(command.ingress_id, INGRESS))


def _check_pools(command: InitSwarm) -> None:
    """Reject pools from which no subnet can be cut."""
    for pool in command.default_addr_pool:
        if not is_subnet(pool):
            raise Rejected.invalid(f"invalid CIDR address: {pool}", bare=True)
        subnet = parse_subnet(pool)
        if not subnet.prefixlen <= command.subnet_size <= subnet.max_prefixlen:
            raise Rejected.invalid(f"subnets of {command.subnet_size} bits cannot be cut from {pool}", bare=True)


def update_swarm(state: ClusterState, command: UpdateSwarm) -> tuple[Event, ...]:
    """Change the swarm's spec, tokens and unlock key."""
    if state.cluster is None:
        raise Rejected.precondition("there is no swarm")
    check_swarm(command.spec)
    check_version(state.cluster, command.version)
    return (
        SwarmUpdated(
            spec=updated_swarm(command.spec),
            tokens=command.tokens,
            unlock_key=command.unlock_key,
            rotation=command.rotation,
        ),
    )


def replace_root(state: ClusterState, command: ReplaceRoot) -> tuple[Event, ...]:
    """End a rotation once no node needs the old root any more; nothing if there is none, or if one still does."""
    cluster = state.cluster
    if cluster is None or cluster.rotation is None or any(needs_certificate(n, cluster) for n in state.nodes.values()):
        return ()
    return (SwarmRootReplaced(command.tokens),)


def rotate_network_keys(state: ClusterState, command: RotateNetworkKeys) -> tuple[Event, ...]:
    """Give the data plane other keys."""
    if state.cluster is None:
        raise Rejected.precondition("there is no swarm")
    return (SwarmKeysRotated(command.keys),)


def leave_swarm(state: ClusterState, command: LeaveSwarm) -> tuple[Event, ...]:  # noqa: ARG001 - it says all itself
    """End the swarm."""
    return () if state.left else (SwarmLeft(),)
