"""Which keys the cluster needs; all others are destroyed, so that what was removed cannot be read again."""

from skep.core.state import ClusterState
from skep.ports.keyring import Keyring
from skep.runtime.writer import Writer


def referenced(state: ClusterState) -> dict[str, None]:
    """Return the ids of all keys that the state needs."""
    keys = {s.sealed.key_id: None for s in state.secrets.values() if s.sealed is not None}
    cluster = state.cluster
    if cluster is not None:
        keys |= {sealed.key_id: None for sealed in (cluster.root.key, cluster.tokens.worker, cluster.tokens.manager)}
        if cluster.unlock_key is not None:
            keys[cluster.unlock_key.key_id] = None
        if cluster.rotation is not None:
            keys[cluster.rotation.root.key.key_id] = None
        keys |= {network_key.key.key_id: None for network_key in cluster.network_keys}
    return keys


async def destroy_orphans(keyring: Keyring, writer: Writer) -> None:
    """Destroy keys that nothing needs: of objects whose removal, or whose creation, a crash cut short."""
    needed = await writer.read(referenced)
    for key_id in await keyring.key_ids():
        if key_id not in needed:
            await keyring.destroy(key_id)
