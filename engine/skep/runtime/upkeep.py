"""What a swarm with engines outside needs from time to time: other keys of the data plane, and the end of a rotation.

Keys are made when there are none, and then one of each subsystem is replaced every twelve hours, as SwarmKit does it:
three are known at any time, so that a node that hears of it late still reads what others send. No two of all keys have
the same lamport time.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import anyio
import structlog

from skep.core.commands import ReplaceRoot, RotateNetworkKeys
from skep.core.record import Actor
from skep.core.rules.swarm import needs_certificate
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, NodeId
from skep.model.secret import Sealed
from skep.model.swarm import Cluster, JoinTokens, NetworkKey, Rotation
from skep.ports.clock import Clock, Draw, Ids
from skep.ports.keyring import Keyring, KeyringError
from skep.runtime.authority import new_token
from skep.runtime.errors import EngineError
from skep.runtime.keys import needed_keys
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

#: Engines that are there renew within seconds. Of those for which a rotation waits longer so many are named.
PATIENCE_S = 60.0
TOLD_MAX = 10

UPKEEP = Actor("engine")

_log = structlog.get_logger("skep.upkeep")


class Upkeep:
    """Looks after keys and rotations for as long as it runs."""

    def __init__(self, writer: Writer, keyring: Keyring, *, clock: Clock, ids: Ids, draw: Draw) -> None:
        self._writer = writer
        self._keyring = keyring
        self._clock = clock
        self._ids = ids
        self._draw = draw
        self._changed = anyio.Event()
        self._told: tuple[NodeId, ...] = ()
        #: held by whoever makes tokens or a root, from when it reads the present ones until the new ones are durable
        self.replacing = anyio.Lock()
        writer.on_durable.append(self._note)

    async def run(self) -> None:
        """End rotations of the root when they may end, until cancelled."""
        while True:
            self._changed = anyio.Event()
            cluster, ended = await self._writer.read(_standing)
            if cluster is None or not ended or await self._tried(self._end_rotation):
                with anyio.move_on_after(PATIENCE_S if cluster is not None and cluster.rotation else None) as patience:
                    await self._changed.wait()
                if patience.cancelled_caught:
                    await self._tell_who_is_awaited()

    async def _tell_who_is_awaited(self) -> None:
        """Say for which nodes a rotation waits: one that never comes back must be removed by somebody."""
        awaited = await self._writer.read(_awaited)
        if awaited and awaited != self._told:
            _log.warning("upkeep.root_rotation_waits", nodes=awaited[:TOLD_MAX], count=len(awaited))
        self._told = awaited

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
                await self._tried(partial(self._rotate_keys, cluster))

    async def _tried(self, do: Callable[[], Awaitable[None]]) -> bool:
        """Do it; where that fails wait until it may be tried again, and return False."""
        try:
            await do()
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
        try:
            await self._writer.submit(RotateNetworkKeys(tuple(keys)), actor=UPKEEP)
        finally:
            await self._destroy_unneeded((*(k.key for k in keys), *(k.key for k in cluster.network_keys)), cluster)

    async def _destroy_unneeded(self, candidates: Iterable[Sealed], cluster: Cluster) -> None:
        """Destroy keys that are for nothing: whether it was done or not, or nobody knows, the state says which."""
        now, _ = await self._writer.read(_standing)
        needed = needed_keys(now or cluster)
        for sealed in candidates:
            if sealed.key_id not in needed:
                await self._keyring.destroy(sealed.key_id)

    async def _end_rotation(self) -> None:
        async with self.replacing:
            cluster, may_end = await self._writer.read(_standing)
            if cluster is not None and cluster.rotation is not None and may_end:
                await self._replace_root(cluster, cluster.rotation)

    async def _replace_root(self, cluster: Cluster, rotation: Rotation) -> None:
        root = rotation.root.certificate
        worker, manager = (new_token(root, draw=self._draw).encode() for _ in range(2))
        tokens = JoinTokens(await self._seal("token", worker), await self._seal("token", manager))
        try:
            await self._writer.submit(ReplaceRoot(tokens), actor=UPKEEP)
        finally:
            await self._destroy_unneeded((*_sealed(tokens), *_sealed(cluster.tokens), cluster.root.key), cluster)
        now, _ = await self._writer.read(_standing)
        if now is not None and now.rotation is None:
            _log.info("upkeep.root_replaced")

    async def _key(self) -> Sealed:
        return await self._seal("network-key", self._draw(KEY_BYTES))

    async def _seal(self, kind: str, content: bytes) -> Sealed:
        return await seal(self._keyring, f"{kind}-{self._ids.new()}", content, draw=self._draw)


def _standing(state: ClusterState) -> tuple[Cluster | None, bool]:
    """Return the swarm, and whether a rotation of its root may end."""
    cluster = state.cluster
    if cluster is None or cluster.rotation is None:
        return cluster, False
    return cluster, not _awaited(state)


def _sealed(tokens: JoinTokens) -> tuple[Sealed, Sealed]:
    return tokens.worker, tokens.manager


def _awaited(state: ClusterState) -> tuple[NodeId, ...]:
    """Return the nodes that have no certificate of the new root yet."""
    cluster = state.cluster
    return tuple(n.id for n in state.nodes.values() if needs_certificate(n, cluster)) if cluster is not None else ()
