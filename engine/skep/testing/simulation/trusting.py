"""What must hold of certificates, tokens and keys when a story has come to rest, and what people do about the rest."""

from skep.core.commands import Command, RemoveNode
from skep.core.state import ClusterState
from skep.model.node import Node
from skep.ports.storage import Store
from skep.runtime.authority import new_token
from skep.runtime.cluster import Cluster
from skep.runtime.keys import needed_keys
from skep.runtime.sealing import unseal
from skep.testing.simulation.always import Failed
from skep.testing.simulation.certified_cable import roots_of
from skep.testing.simulation.deeds import is_locked_out
from skep.testing.simulation.machine import Machine
from skep.testing.simulation.world import World

#: Kinds of keys of the swarm itself. Those of secrets may be left: they are removed by a command alone.
KINDS = ("root", "token", "network", "unlock")


def give_up(world: World, state: ClusterState) -> list[Command]:
    """Return what removes nodes whose machines will never be heard again: for these a rotation waits."""
    for machine in world.machines.values():
        # who was removed and is not trusted hears nothing, and keeps its tasks until somebody has it leave
        if is_locked_out(world, machine) or (machine.node_id not in state.nodes and _is_distrusted(state, machine)):
            machine.leave()
    return [RemoveNode(n.id, force=True) for n in state.nodes.values() if n.manager is None and _is_lost(world, n)]


def _is_lost(world: World, node: Node) -> bool:
    machine = world.machines.get(node.id)
    return machine is None or machine.gone


def _is_distrusted(state: ClusterState, machine: Machine) -> bool:
    return machine.papers is not None and not machine.papers.trusted_by(roots_of(state))


def distrust(state: ClusterState, machine: Machine) -> str:
    """Say in what a member's papers differ from what the swarm is; empty if they do not."""
    cluster, papers = state.cluster, machine.papers
    if cluster is None or papers is None or machine.node_id not in state.nodes:
        return ""
    root = cluster.root.certificate
    if papers.roots != root:
        return f"{machine.name} trusts another root than the swarm's"
    return "" if papers.trusted_by(root) else f"{machine.name} has no certificate of the swarm's root"


async def check_keys(cluster: Cluster, store: Store) -> None:
    """Return if the keyring has what is needed and nothing else, and the tokens are those of the present root.

    Raises:
        Failed: it is not so.
    """
    swarm = await cluster.swarm.inspect()
    needed = needed_keys(swarm)
    kept = [key_id for key_id in await store.keyring.key_ids() if key_id.partition("-")[0] in KINDS]
    if missing := [key_id for key_id in needed if key_id not in kept]:
        raise Failed(f"at rest, and these keys are needed and destroyed: {missing}")
    if left := [key_id for key_id in kept if key_id not in needed]:
        raise Failed(f"at rest, and these keys are kept and nobody needs them: {left}")
    digest = new_token(swarm.root.certificate).split("-")[2]
    for token in await cluster.swarm.tokens():
        if token.split("-")[2] != digest:
            raise Failed("at rest, and a token names another root than the swarm's")
    for key in swarm.network_keys:
        await unseal(store.keyring, key.key)
