"""Keys of the data plane, and the end of a rotation of the swarm's root, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from msgspec.structs import replace
from skep.core.commands import DescribeNode
from skep.core.record import Actor
from skep.model.ids import NodeId
from skep.model.node import NodeDescription, TlsInfo
from skep.model.states import Availability
from skep.model.swarm import CaConfig
from skep.runtime.authority import new_token
from skep.runtime.certificates import new_key
from skep.runtime.cluster import Cluster
from skep.runtime.keys import needed_keys
from skep.runtime.memory import AppendFault, MemoryEventLog, MemoryStorage
from skep.runtime.upkeep import KEY_BYTES, KEYS_LIVE_S, PATIENCE_S, SUBSYSTEMS
from skep.testing.virtual import VirtualClock

from tests.trust.requests import csr


@asynccontextmanager
async def kept_up(storage: MemoryStorage | None = None, clock: VirtualClock | None = None) -> AsyncIterator[Cluster]:
    async with (
        Cluster.open(storage=storage, clock=clock or VirtualClock()) as cluster,
        anyio.create_task_group() as group,
    ):
        group.start_soon(cluster.engine.upkeep.run_keys)
        await asyncio.sleep(1)
        yield cluster
        group.cancel_scope.cancel()


async def keys_of(cluster: Cluster) -> dict[str, list[int]]:
    swarm = await cluster.swarm.inspect()
    return {name: [k.lamport for k in swarm.network_keys if k.subsystem == name] for name in SUBSYSTEMS}


async def plain(cluster: Cluster) -> dict[tuple[str, int], bytes]:
    """Return the keys that an agent is told."""
    session = cluster.engine.dispatcher.sessions[cluster.node_id]
    message = await cluster.engine.dispatcher.message(session)
    return {(key.subsystem, key.lamport): key.key for key in message.network_keys}


async def rotate(cluster: Cluster) -> None:
    swarm = await cluster.swarm.inspect()
    config = replace(swarm.spec.ca_config or CaConfig(), force_rotate=1)
    await cluster.swarm.update(swarm.version, replace(swarm.spec, ca_config=config))
    await asyncio.sleep(1)


async def test_there_are_three_keys_of_each_subsystem_and_one_of_them_is_replaced_twice_a_day() -> None:
    async with kept_up() as cluster:
        assert [*(await keys_of(cluster)).values()] == [[1, 2, 3], [4, 5, 6]]
        first = await plain(cluster)
        assert {len(key) for key in first.values()} == {KEY_BYTES}
        assert len(set(first.values())) == len(first)
        await asyncio.sleep(KEYS_LIVE_S)
        assert [*(await keys_of(cluster)).values()] == [[2, 3, 7], [5, 6, 8]]
        then = await plain(cluster)
        assert {name: then[name] for name in first if name in then} == {
            name: key for name, key in first.items() if name[1] not in (1, 4)
        }
        known = await cluster.engine.store.keyring.key_ids()
        assert sorted(known) == sorted(needed_keys(await cluster.swarm.inspect()))


async def test_an_engine_that_starts_again_goes_on_with_the_keys_that_there_are() -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    async with kept_up(storage, clock) as cluster:
        before = await plain(cluster)
    async with kept_up(storage, clock) as cluster:
        assert await plain(cluster) == before


async def test_keys_that_were_made_and_could_not_be_told_are_not_kept() -> None:
    storage = MemoryStorage()
    async with kept_up(storage) as cluster:
        log = cluster.engine.store.log
        assert isinstance(log, MemoryEventLog)
        await asyncio.sleep(KEYS_LIVE_S / 2)
        before = await keys_of(cluster)
        log.fail_next(AppendFault.FULL, times=3)
        await asyncio.sleep(KEYS_LIVE_S / 2 + 60)
        assert await keys_of(cluster) != before
        known = await cluster.engine.store.keyring.key_ids()
        assert sorted(known) == sorted(needed_keys(await cluster.swarm.inspect()))


async def test_a_root_is_replaced_at_once_where_nobody_has_a_certificate_of_it() -> None:
    async with kept_up() as cluster:
        old, tokens = await cluster.swarm.inspect(), await cluster.swarm.tokens()
        await rotate(cluster)
        swarm = await cluster.swarm.inspect()
        assert swarm.rotation is None
        assert swarm.root.certificate != old.root.certificate
        assert not {*tokens} & {*await cluster.swarm.tokens()}
        known = await cluster.engine.store.keyring.key_ids()
        assert sorted(known) == sorted(needed_keys(swarm))


async def test_a_root_is_replaced_when_the_last_node_has_a_certificate_of_the_new_one() -> None:
    async with kept_up() as cluster:
        worker, _ = await cluster.swarm.tokens()
        membership = cluster.engine.membership
        issued = await membership.admit(worker, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        await described(cluster, issued.node_id)
        old = await cluster.swarm.inspect()
        await rotate(cluster)
        swarm = await cluster.swarm.inspect()
        assert swarm.rotation is not None
        assert swarm.root == old.root
        chain, trusted = await membership.manager_chain(cluster.node_id, new_key().public_key())
        assert chain.count("BEGIN CERTIFICATE") == 2  # the new root comes with it, signed by the old one
        assert trusted == old.root.certificate + swarm.rotation.root.certificate
        await rotate(cluster)  # no second one is asked for
        assert (await cluster.swarm.inspect()).rotation == swarm.rotation
        await described(cluster, issued.node_id)
        await asyncio.sleep(1)
        after = await cluster.swarm.inspect()
        assert (after.rotation, after.root) == (None, swarm.rotation.root)


async def test_a_token_that_is_made_while_a_rotation_ends_is_of_the_new_root_and_can_be_read() -> None:
    async with kept_up() as cluster:
        keyring, swarm = cluster.engine.store.keyring, await cluster.swarm.inspect()
        create = keyring.create

        async def slowly(key_id: str) -> bytes:
            key = await create(key_id)
            if key_id.startswith("token"):
                await asyncio.sleep(5)  # as long as a disk may take, which is enough for others
            return key

        keyring.create = slowly  # type: ignore[method-assign]  # the point
        async with anyio.create_task_group() as group:
            group.start_soon(rotate, cluster)
            await asyncio.sleep(0.5)
            now = await cluster.swarm.inspect()
            group.start_soon(partial(cluster.swarm.update, now.version, now.spec, rotate_worker_token=True))
        await asyncio.sleep(60)
        after = await cluster.swarm.inspect()
        assert after.root != swarm.root
        digest = new_token(after.root.certificate).split("-")[2]
        assert {token.split("-")[2] for token in await cluster.swarm.tokens()} == {digest}
        assert sorted(await keyring.key_ids()) == sorted(needed_keys(after))


async def test_it_is_told_for_which_nodes_a_rotation_waits(capsys: pytest.CaptureFixture[str]) -> None:
    async with kept_up() as cluster:
        worker, _ = await cluster.swarm.tokens()
        membership = cluster.engine.membership
        issued = await membership.admit(worker, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        await rotate(cluster)
        await asyncio.sleep(10 * PATIENCE_S)
        assert capsys.readouterr().out.count(issued.node_id) == 1
        await cluster.nodes.remove(issued.node_id, force=True)
        await asyncio.sleep(1)
        assert (await cluster.swarm.inspect()).rotation is None


async def described(cluster: Cluster, node_id: NodeId) -> None:
    """Let a node say that it has a certificate of the root that signs now."""
    swarm = await cluster.swarm.inspect()
    root = swarm.rotation.root if swarm.rotation else swarm.root
    info = TlsInfo(root.certificate, root.issuer_subject, root.issuer_public_key)
    command = DescribeNode(node_id, NodeDescription(hostname="worker", tls_info=info))
    await cluster.engine.writer.submit(command, actor=Actor("agent", node_id))
