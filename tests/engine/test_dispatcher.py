"""The dispatcher and its agents: what an agent says becomes durable, and no agent, key or pause ends the engine."""

import asyncio
from typing import cast

import anyio
import pytest
import skep
from skep.core.codec import decode_record
from skep.core.events import NodesObserved
from skep.model.ids import START
from skep.model.node import NodeDescription
from skep.model.secret import SecretSpec
from skep.model.service import RestartPolicy
from skep.model.states import NodeState, TaskState
from skep.ports.link import LinkError, SessionRequest
from skep.runtime.dispatcher import WORDS_MAX, LocalLink
from skep.runtime.memory import MemoryStorage
from skep.runtime.simulated import Behaviour
from skep.testing.engine_test import engine_test
from skep.testing.virtual import VirtualLoop

ONCE = RestartPolicy(condition="none")

#: What an agent says of itself when it registers.
REQUEST = SessionRequest(NodeDescription(hostname="again"))


async def observed(storage: MemoryStorage) -> list[NodeState]:
    """Return what was said of nodes, in order."""
    records = await storage.log.read(START, limit=10_000)
    events = [event for record in records for event in decode_record(record.body).events]
    return [event.state for event in events if isinstance(event, NodesObserved)]


async def test_a_node_that_was_silent_and_lives_registers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unheard(_: LocalLink, _session_id: str) -> float:
        return 17.0

    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")
        with monkeypatch.context() as patch:
            patch.setattr(LocalLink, "heartbeat", unheard)
            await anyio.sleep(30)
        assert NodeState.DOWN in await observed(storage)
        await anyio.sleep(60)
        assert (await cluster.nodes.list())[0].status.state is NodeState.READY
        await cluster.converged("web")


async def test_the_time_in_which_the_loop_stood_still_counts_against_nobody() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage, nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")
        for _ in range(3):
            await anyio.sleep(20.3)
            loop = cast("VirtualLoop", asyncio.get_running_loop())
            loop._virtual.now_ns += 3600 * 10**9
        await anyio.sleep(20)
        assert NodeState.DOWN not in await observed(storage)


async def test_reports_that_are_large_together_become_durable() -> None:
    async with engine_test(behaviours=Behaviour(pull_s=0.1, reject="x" * 1000)) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=1000, restart=ONCE))
        await anyio.sleep(10)
        assert {task.state for task in await cluster.tasks.list("web")} == {TaskState.REJECTED}


async def test_an_error_without_end_is_cut() -> None:
    async with engine_test(behaviours=Behaviour(pull_s=0.1, reject="\0" * 1_000_000)) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=20, restart=ONCE))
        await anyio.sleep(10)
        assert {len(task.status.err) for task in await cluster.tasks.list("web")} == {WORDS_MAX}


async def test_a_secret_whose_key_is_lost_ends_neither_agent_nor_engine() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage) as cluster:
        secret_id = await cluster.secrets.create(SecretSpec(name="pw"), b"sesame")
        secrets = await cluster.secrets.list()
        await cluster.services.create(skep.service_spec("web", "demo", secrets=secrets))
        await cluster.converged("web")
        await cluster.engine.store.keyring.destroy(f"secret-{secret_id}")
        crashed = storage.crash()
    async with engine_test(storage=crashed) as cluster:
        await anyio.sleep(30)
        await cluster.services.create(skep.service_spec("other", "demo"))
        await cluster.converged("other")


async def test_an_agent_that_asks_an_engine_that_stopped_is_told_by_its_link() -> None:
    async with engine_test() as cluster:
        await anyio.sleep(1)
        dispatcher = cluster.engine.dispatcher
        session = next(iter(dispatcher.sessions.values()))
        await cluster.swarm.leave(force=True)
        with pytest.raises(LinkError):
            await dispatcher.message(session)
        with pytest.raises(LinkError):
            await dispatcher.changes(session, complete=False)


async def test_a_second_registration_ends_the_first_session() -> None:
    async with engine_test(nodes=1) as cluster:
        dispatcher, node_id = cluster.engine.dispatcher, cluster.node_id
        first = dispatcher.sessions[node_id]
        second = await dispatcher.register(node_id, REQUEST)
        assert first.ended
        with pytest.raises(LinkError, match="is not known"):
            dispatcher.find(first.id, node_id)
        assert dispatcher.find(second.id, node_id) is second


async def test_a_node_that_registers_too_often_is_told_to_wait() -> None:
    """Three times within 8 s, as on SwarmKit; then it may again."""
    async with engine_test(nodes=1) as cluster:
        await anyio.sleep(20)
        dispatcher, node_id = cluster.engine.dispatcher, cluster.node_id
        for _ in range(3):
            await dispatcher.register(node_id, REQUEST)
        with pytest.raises(LinkError, match=f"node {node_id} registered 3 times within 8 s: it must wait"):
            await dispatcher.register(node_id, REQUEST)
        assert not dispatcher.sessions[node_id].ended
        await anyio.sleep(20)
        await cluster.services.create(skep.service_spec("web", "demo"))
        await cluster.converged("web")
