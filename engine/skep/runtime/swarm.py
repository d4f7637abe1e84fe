"""The swarm part of a `Cluster`: beginning it, its tokens and keys, changing and leaving it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec.structs import replace

from skep.core.commands import InitSwarm, JoinNodes, LeaveSwarm, UpdateSwarm
from skep.core.record import Actor
from skep.core.rules.node import parse_availability
from skep.core.rules.swarm import check_swarm, is_locking, stored_swarm
from skep.core.state import ClusterState
from skep.model.ids import ClusterId, NetworkId, NodeId, Position
from skep.model.node import ManagerStatus, NodeDescription, NodeSpec
from skep.model.secret import Sealed
from skep.model.states import Availability, Role
from skep.model.swarm import DEFAULT_SWARM_SPEC, Cluster, JoinTokens, RootCa, SwarmSpec
from skep.ports.clock import Clock, Ids
from skep.runtime.authority import new_root, new_token, new_unlock_key, parse_unlock_key
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError, LastManager, LockedLeave, NoSwarm, NotLocked
from skep.runtime.facades import EMBEDDED
from skep.runtime.keys import needed_keys
from skep.runtime.sealing import seal, unseal

#: The port that managers listen on, as in Docker.
SWARM_PORT = 2377


class SwarmHome(Protocol):
    """What the swarm part needs of its cluster."""

    #: whether the swarm goes on from what was before
    resumed: bool

    @property
    def engine(self) -> Engine:
        """The running engine; raises `NoSwarm`."""
        ...

    @property
    def active(self) -> bool:
        """Whether there is an engine."""
        ...

    @property
    def locked(self) -> bool:
        """Whether there is a swarm that has to be unlocked."""
        ...

    @property
    def ids(self) -> Ids:
        """The source of ids."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def hostname(self) -> str:
        """The name of this node."""
        ...

    async def begin(self, first_words: Callable[[Engine, str], Awaitable[None]], listen_addr: str) -> Engine:
        """Begin a log and run it; `first_words` are told where workers come in."""
        ...

    async def end(self) -> None:
        """Stop the engine and close its log for good."""
        ...

    async def unlock(self, unlock_key: bytes) -> None:
        """Open the keyring and run the engine."""
        ...

    async def abandon(self, actor: Actor) -> None:
        """Leave a swarm that is locked."""
        ...


class Swarm:
    """The swarm itself."""

    def __init__(self, home: SwarmHome) -> None:
        self._home = home
        self._leaving: asyncio.Task[None] | None = None

    async def init(
        self,
        spec: SwarmSpec | None = None,
        *,
        advertise_addr: str = "",
        listen_addr: str = "",
        availability: str = "",
        default_addr_pool: tuple[str, ...] = (),
        subnet_size: int = 24,
        data_path_port: int = 4789,
        data_path_addr: str = "",
        force_new_cluster: bool = False,
        actor: Actor = EMBEDDED,
    ) -> NodeId:
        """Begin a swarm with this node as its manager, and return the node's id.

        With `force_new_cluster` one that is there goes on with all that it has, under a spec in which what is said now
        replaces what was; its addresses stay. Every other node has to be heard anew.

        Workers from outside come in at `listen_addr`, where the cluster has a gate for them. Where `advertise_addr` has
        no port, they are told that of the gate.

        Raises:
            AlreadyInSwarm: there is one.
            CannotListen: `listen_addr` is taken.
            Rejected: a value cannot be.
        """
        if force_new_cluster and self._home.active:
            return await self._begin_anew(spec or SwarmSpec(), actor)
        wanted = spec or DEFAULT_SWARM_SPEC
        check_swarm(wanted, new=True)
        available = parse_availability(availability) if availability else Availability.ACTIVE
        node_id = NodeId(self._home.ids.new())

        async def first_words(engine: Engine, listening: str) -> None:
            host, port = split_addr(advertise_addr, split_addr(listening)[1])
            keyring = engine.store.keyring
            root = new_root(self._home.clock.now(), draw=engine.draw)
            key = await seal(keyring, f"root-{self._home.ids.new()}", root.key, draw=engine.draw)
            await engine.writer.submit(
                InitSwarm(
                    cluster_id=ClusterId(self._home.ids.new()),
                    spec=wanted,
                    root=RootCa(root.certificate, key, root.issuer_subject, root.issuer_public_key),
                    tokens=JoinTokens(
                        await self._new_token(engine, root.certificate),
                        await self._new_token(engine, root.certificate),
                    ),
                    unlock_key=await self._new_unlock_key(engine) if is_locking(wanted) else None,
                    default_addr_pool=default_addr_pool,
                    subnet_size=subnet_size,
                    data_path_port=data_path_port or 4789,
                    ingress_id=NetworkId(self._home.ids.new()),
                ),
                JoinNodes(
                    node_ids=(node_id,),
                    specs=(NodeSpec(labels={}, role=Role.MANAGER, availability=available),),
                    descriptions=(NodeDescription(hostname=self._home.hostname),),
                    addrs=(host,),
                    managers=(
                        ManagerStatus(
                            leader=True,
                            addr=join_addr(host, port),
                            listen_addr=listening,
                            data_path_addr=data_path_addr,
                        ),
                    ),
                ),
                actor=actor,
            )

        await self._home.begin(first_words, listen_addr)
        return node_id

    async def _begin_anew(self, spec: SwarmSpec, actor: Actor) -> NodeId:
        engine = self._home.engine
        cluster = await self.inspect()
        await self.update(cluster.version, stored_swarm(spec, cluster.spec), actor=actor)
        await engine.dispatcher.doubt_others(engine.node_id)
        self._home.resumed = True
        return engine.node_id

    async def inspect(self) -> Cluster:
        """Return the swarm; its secrets are sealed."""
        return await self._home.engine.writer.read(_cluster)

    async def tokens(self) -> tuple[str, str]:
        """Return the join tokens of workers and of managers, in plain."""
        cluster = await self.inspect()
        keyring = self._home.engine.store.keyring
        worker = await unseal(keyring, cluster.tokens.worker)
        manager = await unseal(keyring, cluster.tokens.manager)
        return worker.decode(), manager.decode()

    async def unlock_key(self) -> str:
        """Return the unlock key in plain; empty if managers are not locked."""
        cluster = await self.inspect()
        if not is_locking(cluster.spec) or cluster.unlock_key is None:
            return ""
        return (await unseal(self._home.engine.store.keyring, cluster.unlock_key)).decode()

    async def update(
        self,
        version: int,
        spec: SwarmSpec,
        *,
        rotate_worker_token: bool = False,
        rotate_manager_token: bool = False,
        rotate_unlock_key: bool = False,
        actor: Actor = EMBEDDED,
    ) -> None:
        """Give the swarm a new spec; what is rotated is new, and the old can be read no more.

        A spec that asks for one more forced rotation begins to replace the root: see `skep.runtime.upkeep`.
        """
        engine = self._home.engine
        async with engine.upkeep.replacing:
            keyring = engine.store.keyring
            cluster = await self.inspect()
            tokens = cluster.tokens
            if rotate_worker_token:
                tokens = replace(tokens, worker=await self._new_token(engine, cluster.root.certificate))
            if rotate_manager_token:
                tokens = replace(tokens, manager=await self._new_token(engine, cluster.root.certificate))
            unlock_key = None
            if is_locking(spec) and (rotate_unlock_key or not is_locking(cluster.spec)):
                unlock_key = await self._new_unlock_key(engine)
            rotation = await engine.membership.rotation() if _rotations(spec) > _rotations(cluster.spec) else None
            root_key = rotation.root.key if rotation is not None else None
            made = [s for s in (tokens.worker, tokens.manager, unlock_key, root_key) if s is not None]
            old = [s for s in (cluster.tokens.worker, cluster.tokens.manager, cluster.unlock_key) if s is not None]
            if rotation is not None and cluster.rotation is not None:
                old.append(cluster.rotation.root.key)  # a rotation that another one overtakes
            try:
                await engine.writer.submit(
                    UpdateSwarm(
                        version=Position(version),
                        spec=spec,
                        tokens=tokens if tokens != cluster.tokens else None,
                        unlock_key=unlock_key,
                        rotation=rotation,
                    ),
                    actor=actor,
                )
            finally:
                # of the new and the old keys, the state says which are needed; the others go
                now = await self.inspect()
                needed = needed_keys(now)
                for sealed in (*made, *old):
                    if sealed.key_id not in needed:
                        await keyring.destroy(sealed.key_id)
                # answered when it is so: who is given an unlock key may be sure that the swarm is locked
                await engine.keep_locked()

    async def unlock(self, unlock_key: str) -> None:
        """Unlock the swarm after a start; its engine runs then.

        Raises:
            NoSwarm, NotLocked: there is nothing to unlock.
            MalformedUnlockKey, UnlockRefused: that is not the key.
        """
        if self._home.active or not self._home.locked:
            raise NotLocked if self._home.active else NoSwarm
        await self._home.unlock(parse_unlock_key(unlock_key))

    async def leave(self, *, force: bool = False, actor: Actor = EMBEDDED) -> None:
        """End the swarm: this node is its last manager. The log is sealed and kept.

        Raises:
            NoSwarm: there is none.
            LastManager, LockedLeave: `force` was not given.
        """
        if not force:
            raise self._reluctance()
        # both or nothing, whoever stops waiting: a swarm that was left must not keep an engine
        self._leaving = asyncio.ensure_future(self._leave(actor))
        self._leaving.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._leaving)

    def _reluctance(self) -> EngineError:
        """Return why the swarm is not left just so."""
        if self._home.locked:
            return LockedLeave()
        return LastManager() if self._home.active else NoSwarm()

    async def _leave(self, actor: Actor) -> None:
        if self._home.locked:
            await self._home.abandon(actor)
            return
        await self._home.engine.writer.submit(LeaveSwarm(), actor=actor)
        await self._home.end()

    async def _new_token(self, engine: Engine, certificate: str) -> Sealed:
        return await self._sealed(engine, "token", new_token(certificate, draw=engine.draw))

    async def _new_unlock_key(self, engine: Engine) -> Sealed:
        return await self._sealed(engine, "unlock", new_unlock_key(draw=engine.draw))

    async def _sealed(self, engine: Engine, kind: str, text: str) -> Sealed:
        key_id = f"{kind}-{self._home.ids.new()}"
        return await seal(engine.store.keyring, key_id, text.encode(), draw=engine.draw)


def _cluster(state: ClusterState) -> Cluster:
    if state.cluster is None:
        raise NoSwarm
    return state.cluster


def _rotations(spec: SwarmSpec) -> int:
    return spec.ca_config.force_rotate if spec.ca_config is not None else 0


def join_addr(host: str, port: str | int) -> str:
    """Return host and port as one, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_addr(addr: str, default_port: str = str(SWARM_PORT), default_host: str = "127.0.0.1") -> tuple[str, str]:
    """Return host and port of "host", "host:port", "v6" or "[v6]:port", each with its default."""
    if addr.startswith("["):
        host, _, rest = addr[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = addr.partition(":") if addr.count(":") == 1 else (addr, "", "")
    return host or default_host, port or default_port
