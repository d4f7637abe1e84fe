"""The engine as a whole: services run, nodes are lost and come back, and what is waited for comes or is told."""

import anyio
import pytest
import skep
from msgspec.structs import replace
from skep.model.ids import NodeId
from skep.model.service import RestartPolicy
from skep.model.states import Availability, NodeState, TaskState
from skep.ports.link import LinkError, SessionRequest
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryStorage
from skep.runtime.session import Session
from skep.runtime.simulated import Behaviour
from skep.testing.engine_test import engine_test


def cut(cluster: Cluster, node_id: NodeId) -> dict[NodeId, None]:
    """Cut a node off; it can register again when it is taken out of what is returned."""
    dispatcher = cluster.engine.dispatcher
    register, cables = dispatcher.register, {node_id: None}

    async def guarded(node: NodeId, request: SessionRequest) -> Session:
        if node in cables:
            raise LinkError("the cable is cut")
        return await register(node, request)

    dispatcher.register = guarded  # type: ignore[method-assign]  # a cut cable
    dispatcher.sessions[node_id].end("the cable was cut")
    return cables


async def worker_with_tasks(cluster: Cluster) -> NodeId:
    return await cluster.read(lambda s: next(n.id for n in s.nodes.values() if n.manager is None))


async def test_a_service_converges_and_scales_and_goes() -> None:
    async with engine_test(nodes=3) as cluster:
        web = await cluster.services.create(skep.service_spec("web", "demo", replicas=6))
        await cluster.converged("web")
        await cluster.services.scale("web", 2)
        await cluster.converged("web")
        assert len(await cluster.tasks.list("web")) == 2
        await cluster.services.remove(web)
        await cluster.gone(web)
        assert await cluster.tasks.list() == []


async def test_what_does_not_converge_says_what_is_missing() -> None:
    never = Behaviour(pull_s=0.1, reject="No such image: demo")
    async with engine_test(behaviours=never) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=2))
        with pytest.raises(skep.TimedOut, match=r"not converged within 30 s: web runs 0 of 2 tasks"):
            await cluster.converged("web", timeout_s=30)


async def test_an_update_goes_through_while_its_service_runs() -> None:
    async with engine_test(nodes=2, behaviours=Behaviour(pull_s=1, start_s=1)) as cluster:
        web = await cluster.services.create(skep.service_spec("web", "v1", replicas=4))
        await cluster.converged("web")
        service = await cluster.services.get("web")
        await cluster.services.update(web, service.version, skep.service_spec("web", "v2", replicas=4))
        await cluster.converged("web")
        status = (await cluster.services.get("web")).update_status
        assert status is not None
        assert status.message == "update completed"


async def test_a_lost_session_ends_no_task() -> None:
    async with engine_test(nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        before = [task.id for task in await cluster.tasks.list("web")]
        for session in list(cluster.engine.dispatcher.sessions.values()):
            session.end("the link was lost")
        await anyio.sleep(60)
        assert [task.id for task in await cluster.tasks.list("web")] == before
        assert {node.status.state for node in await cluster.nodes.list()} == {NodeState.READY}


async def test_a_silent_node_is_down_after_three_heartbeats_and_its_tasks_run_elsewhere() -> None:
    async with engine_test(nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        lost = await worker_with_tasks(cluster)
        cables = cut(cluster, lost)
        await anyio.sleep(10)
        assert (await cluster.nodes.get(lost)).status.state is NodeState.READY
        await anyio.sleep(8)
        node = await cluster.nodes.get(lost)
        assert (node.status.state, node.status.message) == (NodeState.DOWN, "heartbeat failure")
        await anyio.sleep(10)
        running = [t for t in await cluster.tasks.list("web") if t.wanted and t.state is TaskState.RUNNING]
        assert len(running) == 4
        assert lost not in {task.node_id for task in running}
        cables.clear()
        await anyio.sleep(60)
        assert (await cluster.nodes.get(lost)).status.state is NodeState.READY
        await cluster.converged("web")


async def test_a_drained_node_is_emptied() -> None:
    async with engine_test(nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=4))
        await cluster.converged("web")
        node = await cluster.nodes.get("node2")
        await cluster.nodes.update(node.id, node.version, replace(node.spec, availability=Availability.DRAIN))
        await anyio.sleep(30)
        await cluster.converged("web")
        assert not await cluster.read(lambda s: s.node_tasks[node.id].active)


async def test_what_ran_under_an_engine_that_crashed_is_replaced() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage, nodes=2) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", replicas=3, restart=RestartPolicy(delay=0)))
        await cluster.converged("web")
        crashed = storage.crash()
    async with engine_test(storage=crashed, nodes=2) as cluster:
        await anyio.sleep(30)
        await cluster.converged("web")
        failed = [task for task in await cluster.tasks.list("web") if task.state is TaskState.FAILED]
        assert len(failed) == 3
        assert failed[0].status.err.startswith("No such container: web.")


async def test_a_secret_reaches_its_task_and_its_key_goes_with_it() -> None:
    async with engine_test() as cluster:
        await cluster.secrets.create(skep.SecretSpec(name="key"), b"sesame")
        secrets = await cluster.secrets.list()
        web = await cluster.services.create(skep.service_spec("web", "demo", secrets=secrets))
        await cluster.converged("web")
        with pytest.raises(skep.Rejected, match="in use by the following service: web"):
            await cluster.secrets.remove(secrets[0].id)
        await cluster.services.remove(web)
        await cluster.secrets.remove(secrets[0].id)
        keys = await cluster.engine.store.keyring.key_ids()
        assert not [key for key in keys if key.startswith("secret-")]
        await cluster.gone(web)


async def test_a_service_goes_back_to_any_earlier_spec() -> None:
    async with engine_test(nodes=2) as cluster:
        web = await cluster.services.create(skep.service_spec("web", "v1", replicas=2))
        await cluster.converged("web")
        for image in ("v2", "v3"):
            service = await cluster.services.get("web")
            await cluster.services.update(web, service.version, skep.service_spec("web", image, replicas=2))
            await cluster.converged("web")
        first, second, third = await cluster.services.specs("web")
        assert first < second < third
        assert (await cluster.services.spec_at("web", first)).container.image == "v1"
        service = await cluster.services.get("web")
        await cluster.services.rollback(web, service.version, to=first)
        await cluster.converged("web")
        service = await cluster.services.get("web")
        assert service.spec.container.image == "v1"
        *_, last = await cluster.services.outcomes("web")
        assert (last.state, last.rollback, last.changed) == ("completed", True, ("TaskTemplate.ContainerSpec.Image",))
        with pytest.raises(skep.Rejected, match="service web was not specified at position 1"):
            await cluster.services.rollback(web, service.version, to=1)
