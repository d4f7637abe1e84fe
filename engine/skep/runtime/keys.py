"""Which keys the cluster needs; all others are destroyed, so that what was removed cannot be read again."""

from skep.core.rules.swarm import is_locking
from skep.core.state import ClusterState
from skep.model.swarm import Cluster
from skep.ports.keyring import Keyring
from skep.runtime.pull_credentials import key_of
from skep.runtime.writer import Writer


def referenced(state: ClusterState) -> dict[str, None]:
    """Return the ids of all keys that the state needs."""
    keys = {s.sealed.key_id: None for s in state.secrets.values() if s.sealed is not None}
    # a service can go back to any spec that it ever had, and to its credentials
    keys |= {key_of(service_id): None for service_id in state.services}
    return keys | (needed_keys(state.cluster) if state.cluster is not None else {})


def needed_keys(cluster: Cluster) -> dict[str, None]:
    """Return the ids of the keys that the swarm itself needs: of its root, its tokens, its data plane."""
    roots = [cluster.root, *([cluster.rotation.root] if cluster.rotation is not None else [])]
    sealed = [root.key for root in roots]
    sealed += [cluster.tokens.worker, cluster.tokens.manager]
    # that of a swarm that locks no more opens nothing
    sealed += [cluster.unlock_key] if cluster.unlock_key is not None and is_locking(cluster.spec) else []
    sealed += [one.key for one in cluster.network_keys]
    return {one.key_id: None for one in sealed}


async def destroy_orphans(keyring: Keyring, writer: Writer) -> None:
    """Destroy keys that nothing needs: of objects whose removal, or whose creation, a crash cut short."""
    needed = await writer.read(referenced)
    for key_id in await keyring.key_ids():
        if key_id not in needed:
            await keyring.destroy(key_id)
