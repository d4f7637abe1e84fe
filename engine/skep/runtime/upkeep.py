"""What a swarm with engines outside needs from time to time: other keys of the data plane, and the end of a rotation.

Keys are made when there are none, and then one of each subsystem is replaced every twelve hours, as SwarmKit does it:
three are known at any time, so that a node that hears of it late still reads what others send. No two of all keys have
the same lamport time.
"""

import secrets
from collections.abc import Awaitable, Callable

import anyio
import structlog

from skep.core.commands import ReplaceRoot, RotateNetworkKeys
from skep.core.record import Actor
from skep.core.rules.swarm import needs_certificate
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS
from skep.model.secret import Sealed
from skep.model.swarm import Cluster, JoinTokens, NetworkKey
from skep.ports.clock import Clock, Ids
from skep.ports.keyring import Keyring, KeyringError
from skep.runtime.authority import new_token
from skep.runtime.errors import EngineError
from skep.runtime.sealing import seal
from skep.runtime.turn import Durable
from skep.runtime.writer import Writer

#: The subsystems of dockerd's data plane, and how many keys of each it knows: any other number is ignored by it.
SUBSYSTEMS = ("networking:gossip", "networking:ipsec")
KEYS = 3
KEY_BYTES = 16

#: How long the keys stay as they are.
KEYS_LIVE_S = 12 * 3600.0

#: Until what failed is tried again.
RETRY_S = 5.0

UPKEEP = Actor("engine")

_log = structlog.get_logger("skep.upkeep")


class Upkeep:
    """Looks after keys and rotations for as long as it runs."""

    def __init__(self, writer: Writer, keyring: Keyring, *, clock: Clock, ids: Ids) -> None:
        self._writer = writer
        self._keyring = keyring
        self._clock = clock
        self._ids = ids
        self._changed = anyio.Event()
        writer.on_durable.append(self._note)

    async def run(self) -> None:
        """End rotations of the root when they may end, until cancelled."""
        while True:
            self._changed = anyio.Event()
            cluster, ended = await self._writer.read(_standing)
            if cluster is None or not ended or await self._tried(self._end_rotation, cluster):
                await self._changed.wait()

    async def run_keys(self) -> None:
        """Make and rotate the keys of the data plane, until cancelled."""
        while True:
            cluster, _ = await self._writer.read(_standing)
            if cluster is None:
                return
            age_s = (self._clock.now() - cluster.keys_made_at) / NANOSECONDS
            if cluster.network_keys and age_s < KEYS_LIVE_S:
                await anyio.sleep(KEYS_LIVE_S - max(0.0, age_s))
            else:
                await self._tried(self._rotate_keys, cluster)

    async def _tried(self, do: Callable[[Cluster], Awaitable[None]], cluster: Cluster) -> bool:
        """Do it; where that fails wait until it may be tried again, and return False."""
        try:
            await do(cluster)
        except (EngineError, KeyringError) as error:
            _log.warning("upkeep.failed", reason=str(error), again_s=RETRY_S)
            await anyio.sleep(RETRY_S)
            return False
        return True

    def _note(self, durable: Durable) -> None:
        if durable.touched.sessions:
            self._changed.set()

    async def _rotate_keys(self, cluster: Cluster) -> None:
        keys: list[NetworkKey] = []
        lamport = max((key.lamport for key in cluster.network_keys), default=0)
        for subsystem in SUBSYSTEMS:
            had = sorted((key for key in cluster.network_keys if key.subsystem == subsystem), key=lambda k: k.lamport)
            keys += had[1:] if len(had) == KEYS else []
            for _ in range(1 if len(had) == KEYS else KEYS):
                lamport += 1
                keys.append(NetworkKey(subsystem, await self._key(), lamport))
        await self._writer.submit(RotateNetworkKeys(tuple(keys)), actor=UPKEEP)
        await self._destroy_all_but(keys, cluster)

    async def _destroy_all_but(self, keys: list[NetworkKey], cluster: Cluster) -> None:
        needed = {key.key.key_id for key in keys}
        for key in cluster.network_keys:
            if key.key.key_id not in needed:
                await self._keyring.destroy(key.key.key_id)

    async def _end_rotation(self, cluster: Cluster) -> None:
        if cluster.rotation is None:
            return
        root = cluster.rotation.root.certificate
        tokens = JoinTokens(
            await self._seal("token", new_token(root).encode()), await self._seal("token", new_token(root).encode())
        )
        await self._writer.submit(ReplaceRoot(tokens), actor=UPKEEP)
        now, _ = await self._writer.read(_standing)
        ended = now is not None and now.tokens == tokens
        gone = (cluster.tokens.worker, cluster.tokens.manager, cluster.root.key)
        for sealed in gone if ended else (tokens.worker, tokens.manager):
            await self._keyring.destroy(sealed.key_id)
        if ended:
            _log.info("upkeep.root_replaced")

    async def _key(self) -> Sealed:
        return await self._seal("network-key", secrets.token_bytes(KEY_BYTES))

    async def _seal(self, kind: str, content: bytes) -> Sealed:
        return await seal(self._keyring, f"{kind}-{self._ids.new()}", content)


def _standing(state: ClusterState) -> tuple[Cluster | None, bool]:
    """Return the swarm, and whether a rotation of its root may end."""
    cluster = state.cluster
    if cluster is None or cluster.rotation is None:
        return cluster, False
    return cluster, not any(needs_certificate(node, cluster) for node in state.nodes.values())
