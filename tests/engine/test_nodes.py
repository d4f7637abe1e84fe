"""Nodes and their agents: who is heard, what becomes of tasks meanwhile, and what an agent stops."""

import anyio
import pytest
import skep
from msgspec.structs import replace
from skep.core.codec import decode_record
from skep.core.events import NodesObserved
from skep.model.ids import START, NodeId
from skep.model.node import Node, NodeDescription
from skep.model.service import Placement, ServiceSpec
from skep.model.states import Availability, NodeState, TaskState
from skep.model.swarm import OrchestrationConfig
from skep.ports.link import LinkError, SessionRequest
from skep.runtime.cluster import Cluster
from skep.runtime.dispatcher import Dispatcher
from skep.runtime.memory import MemoryStorage
from skep.runtime.session import Session
from skep.runtime.simulated import Behaviour, SimulatedController
from skep.testing.engine_test import engine_test

UNKNOWN = 'Node moved to "unknown" state due to leadership change in cluster'
GRACE_S = 3 * 5.0


async def observed(storage: MemoryStorage, node_id: NodeId) -> list[tuple[NodeState, str]]:
    """Return what was said of a node, in order."""
    records = await storage.log.read(START, limit=10_000)
    events = [event for record in records for event in decode_record(record.body).events]
    return [(e.state, e.message) for e in events if isinstance(e, NodesObserved) and node_id in e.node_ids]


async def node(cluster: Cluster, number: int) -> Node:
    return await cluster.nodes.get(f"node{number}")


async def of_two_one_came_back(storage: MemoryStorage) -> MemoryStorage:
    """Return the storage of a swarm of two nodes that crashed."""
    async with engine_test(storage=storage, nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        return storage.crash()


async def test_after_a_start_a_node_is_unknown_until_it_is_heard() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=2) as cluster:
        await anyio.sleep(1)
        for number in (1, 2):
            of = await node(cluster, number)
            assert of.status.state is NodeState.READY
            assert (await observed(storage, of.id))[-2:] == [(NodeState.UNKNOWN, UNKNOWN), (NodeState.READY, "")]


async def test_a_node_that_is_not_heard_after_a_start_has_its_full_grace_and_is_down_then() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=1) as cluster:
        await anyio.sleep(GRACE_S - 1)
        assert (await node(cluster, 2)).status.state is NodeState.UNKNOWN
        wanted = [t for t in await cluster.tasks.list("web") if t.wanted]
        assert {t.node_id for t in wanted} == {(await node(cluster, 1)).id, (await node(cluster, 2)).id}
        await anyio.sleep(2)
        status = (await node(cluster, 2)).status
        assert (status.state, status.message) == (NodeState.DOWN, 'heartbeat failure for node in "unknown" state')
        await anyio.sleep(10)
        running = [t for t in await cluster.tasks.list("web") if t.wanted and t.state is TaskState.RUNNING]
        assert [t.node_id for t in running] == [(await node(cluster, 1)).id] * 4


async def test_a_node_that_was_down_stays_so_over_a_start() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=1) as cluster:
        await anyio.sleep(GRACE_S + 2)
        lost = await node(cluster, 2)
        storage = storage.crash()
    async with engine_test(storage=storage, nodes=1) as cluster:
        await anyio.sleep(1)
        assert (await node(cluster, 2)).status == lost.status


async def test_an_agent_that_takes_leave_disconnects_its_node_which_is_down_when_it_does_not_return() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=1) as cluster:
        link = cluster.engine.dispatcher.link((await node(cluster, 2)).id)
        async with link.session(SessionRequest(NodeDescription(hostname="node2"), "127.0.0.1", "")):
            assert (await node(cluster, 2)).status.state is NodeState.READY
        status = (await node(cluster, 2)).status
        assert (status.state, status.message) == (NodeState.DISCONNECTED, "agent ended its session")
        await anyio.sleep(GRACE_S + 2)
        status = (await node(cluster, 2)).status
        assert (status.state, status.message) == (NodeState.DOWN, "heartbeat failure")


async def test_an_agent_that_fails_does_not_take_leave() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=1) as cluster:
        link = cluster.engine.dispatcher.link((await node(cluster, 2)).id)
        with pytest.raises(OSError, match="cable"):
            async with link.session(SessionRequest(NodeDescription(hostname="node2"), "127.0.0.1", "")):
                raise OSError("the cable was cut")
        assert (await node(cluster, 2)).status.state is NodeState.READY


async def test_an_agent_whose_session_another_one_took_does_not_disconnect_the_node() -> None:
    storage = await of_two_one_came_back(MemoryStorage())
    async with engine_test(storage=storage, nodes=1) as cluster:
        link = cluster.engine.dispatcher.link((await node(cluster, 2)).id)
        request = SessionRequest(NodeDescription(hostname="node2"), "127.0.0.1", "")
        async with link.session(request):
            second = link.session(request)
            await second.__aenter__()
        assert (await node(cluster, 2)).status.state is NodeState.READY
        await second.__aexit__(None, None, None)
        assert (await node(cluster, 2)).status.state is NodeState.DISCONNECTED


async def test_a_node_that_comes_back_is_told_what_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    register = Dispatcher.register
    async with engine_test(nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        lost = await node(cluster, 2)

        async def unanswered(self: Dispatcher, node_id: NodeId, request: SessionRequest) -> Session:
            if node_id == lost.id:
                raise LinkError("the cable was cut")
            return await register(self, node_id, request)

        with monkeypatch.context() as patch:
            patch.setattr(Dispatcher, "register", unanswered)
            cluster.engine.dispatcher.sessions[lost.id].end("the cable was cut")
            await anyio.sleep(GRACE_S + 30)
            status = (await node(cluster, 2)).status
            assert (status.state, status.message) == (NodeState.DOWN, "heartbeat failure")
            tasks = await cluster.tasks.list("web")
            assert [t.node_id for t in tasks if t.wanted] == [(await node(cluster, 1)).id] * 4
            assert [(t.state, t.desired) for t in tasks if t.node_id == lost.id] == [
                (TaskState.RUNNING, TaskState.SHUTDOWN)
            ] * 2
        await anyio.sleep(30)
        assert (await node(cluster, 2)).status.state is NodeState.READY
        on_it = [t for t in await cluster.tasks.list("web") if t.node_id == lost.id]
        assert [t.state for t in on_it] == [TaskState.SHUTDOWN] * 2, "and nothing moves back"


def bound(*constraints: str) -> ServiceSpec:
    spec = skep.service_spec("web", "demo", replicas=1)
    return replace(spec, task_template=replace(spec.template, placement=Placement(constraints=constraints)))


@pytest.mark.parametrize("limit", [5, 1])
async def test_an_evicted_task_is_really_stopped_even_if_it_is_forgotten_at_once(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    stopped: list[str] = []
    stop = SimulatedController.stop

    async def noted(self: SimulatedController, grace_s: float) -> None:
        await stop(self, grace_s)
        stopped.append(self.task.id)

    monkeypatch.setattr(SimulatedController, "stop", noted)
    async with engine_test(nodes=2, behaviours=Behaviour(stop_s=3)) as cluster:
        swarm = await cluster.swarm.inspect()
        orchestration = OrchestrationConfig(task_history_retention_limit=limit)
        await cluster.swarm.update(swarm.version, replace(swarm.spec, orchestration=orchestration))
        for number in (1, 2):
            one = await node(cluster, number)
            await cluster.nodes.update(one.id, one.version, replace(one.spec, labels={"zone": "a"}))
        await cluster.services.create(bound("node.labels.zone == a"))
        await cluster.converged("web")
        (task,) = await cluster.tasks.list("web")
        on = next(n for n in await cluster.nodes.list() if n.id == task.node_id)
        await cluster.nodes.update(on.id, on.version, replace(on.spec, labels={}))
        assert {t.state for t in await cluster.tasks.list("web") if t.id == task.id} <= {TaskState.REJECTED}
        assert not stopped
        await anyio.sleep(4)
        assert stopped == [task.id]
        await anyio.sleep(10)
        states = [t.state for t in await cluster.tasks.list("web") if t.id == task.id]
        assert states == ([TaskState.REJECTED] if limit > 1 else [])
        running = [t for t in await cluster.tasks.list("web") if t.state is TaskState.RUNNING]
        assert [t.node_id == task.node_id for t in running] == [False]


async def test_a_node_that_is_empty_is_filled_when_it_is_asked_for() -> None:
    async with engine_test(nodes=2, behaviours=Behaviour(start_s=1)) as cluster:
        first, second = await node(cluster, 1), await node(cluster, 2)

        async def on(one: Node) -> int:
            tasks = await cluster.tasks.list("web")
            return sum(t.wanted and t.state is TaskState.RUNNING for t in tasks if t.node_id == one.id)

        await cluster.nodes.update(second.id, second.version, replace(second.spec, availability=Availability.DRAIN))
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        second = await node(cluster, 2)
        await cluster.nodes.update(second.id, second.version, replace(second.spec, availability=Availability.ACTIVE))
        await anyio.sleep(60)
        assert (await on(first), await on(second)) == (4, 0)
        await cluster.services.rebalance("web", budget=10)
        await anyio.sleep(60)
        assert (await on(first), await on(second)) == (2, 2)
