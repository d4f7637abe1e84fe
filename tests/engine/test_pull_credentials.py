"""Credentials for a registry: sealed in the log, in plain for the node that pulls, and gone with their service."""

import anyio
import pytest
import skep
from skep.core.rejected import Rejected
from skep.model.ids import START, ServiceId
from skep.model.states import TaskState
from skep.ports.link import AssignedTask
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryStorage
from skep.runtime.pull_credentials import CHARACTERS_MAX
from skep.runtime.session import Session
from skep.runtime.simulated import Behaviour
from skep.testing.engine_test import engine_test

ANN = "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoiYW5ucy1zZWNyZXQifQ=="
BOB = "eyJ1c2VybmFtZSI6ImJvYiIsInBhc3N3b3JkIjoiYm9icy1zZWNyZXQifQ=="

#: Its tasks are being prepared for as long as a test takes.
SLOW = Behaviour(pull_s=3600)


async def told(cluster: Cluster) -> dict[str, str]:
    """Return what the node is told for each image: of all tasks, those that run and those that ended."""
    found = {}
    for change in await cluster.engine.dispatcher.changes(Session("x", cluster.node_id), complete=True):
        task = change.assignment
        if isinstance(task, AssignedTask) and task.template.spec.container_spec is not None:
            found[task.template.spec.container_spec.image] = task.registry_auth.encoded if task.registry_auth else ""
    return found


async def update(cluster: Cluster, image: str, auth: str = "", *, previous: bool = False) -> None:
    service = await cluster.services.get("web")
    spec = skep.service_spec("web", image)
    await cluster.services.update(
        service.id, service.version, spec, registry_auth=auth, previous_registry_auth=previous
    )
    await anyio.sleep(1)


async def recorded(storage: MemoryStorage) -> bytes:
    return b"\n".join(record.body for record in await storage.log.read(START, limit=10_000))


async def test_a_node_has_those_of_each_spec_and_the_log_has_none() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage, behaviours=SLOW) as cluster:
        await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        await cluster.services.create(skep.service_spec("open", "open"))
        await anyio.sleep(1)
        assert await told(cluster) == {"v1": ANN, "open": ""}
        first = (await cluster.services.specs("web"))[0]
        await update(cluster, "v2")
        assert (await told(cluster))["v2"] == ANN
        await update(cluster, "v3", BOB)
        assert (await told(cluster))["v3"] == BOB
        await update(cluster, "v4", previous=True)
        assert (await told(cluster))["v4"] == ANN
        await update(cluster, "v5", BOB)
        service = await cluster.services.get("web")
        await cluster.services.rollback(service.id, service.version, to=first)
        await anyio.sleep(1)
        present = await cluster.services.get("web")
        assert present.credentials is not None
        assert (await told(cluster))["v1"] == ANN
        for word in (ANN, BOB):
            assert word not in repr(present)
            assert word.encode() not in await recorded(storage)
            assert word[8:-8].encode() not in await recorded(storage)


async def test_what_runs_still_has_them_and_what_is_to_end_does_not() -> None:
    async with engine_test() as cluster:
        service_id = await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        await cluster.converged("web")
        assert await told(cluster) == {"v1": ANN}
        await update(cluster, "v2")
        tasks = {task.state: task for task in await cluster.tasks.list("web")}
        assert TaskState.SHUTDOWN in tasks
        assert await told(cluster) == {"v1": "", "v2": ANN}
        await cluster.services.remove(service_id)


async def test_they_are_there_in_the_next_life() -> None:
    storage = MemoryStorage()
    async with engine_test(storage=storage, behaviours=SLOW) as cluster:
        await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        await anyio.sleep(1)
        crashed = storage.crash()
    async with engine_test(storage=crashed, behaviours=SLOW) as cluster:
        assert await told(cluster) == {"v1": ANN}


async def test_the_key_is_destroyed_with_the_service() -> None:
    async with engine_test(behaviours=SLOW) as cluster:
        keyring = cluster.engine.store.keyring
        before = await keyring.key_ids()
        service_id = await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        await update(cluster, "v2", BOB)
        assert set(await keyring.key_ids()) - set(before) == {f"registry-{service_id}"}
        await cluster.services.remove(service_id)
        assert await keyring.key_ids() == before


async def test_what_is_rejected_leaves_no_key() -> None:
    async with engine_test() as cluster:
        await cluster.services.create(skep.service_spec("web", "v1"))
        before = await cluster.engine.store.keyring.key_ids()
        with pytest.raises(Rejected, match="already exists"):
            await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        with pytest.raises(Rejected, match="not found"):
            await cluster.services.update(ServiceId("no"), 1, skep.service_spec("no", "v1"), registry_auth=ANN)
        for wrong in ("x" * (CHARACTERS_MAX + 1), "gehe\u00fcm", "two\nlines", "\udce9"):
            with pytest.raises(Rejected, match=r"^credentials of a registry") as refused:
                await cluster.services.create(skep.service_spec("other", "v1"), registry_auth=wrong)
            assert wrong not in str(refused.value)
        assert await cluster.engine.store.keyring.key_ids() == before


async def test_a_command_that_is_sent_twice_leaves_one_key() -> None:
    async with engine_test() as cluster:
        spec = skep.service_spec("web", "v1")
        ids = [await cluster.services.create(spec, registry_auth=ANN, command_id="once") for _ in range(2)]
        assert ids[0] == ids[1]
        keys = await cluster.engine.store.keyring.key_ids()
        assert [key for key in keys if key.startswith("registry-")] == [f"registry-{ids[0]}"]


async def test_those_whose_key_is_lost_are_told_of_once_and_hold_up_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async with engine_test(behaviours=SLOW) as cluster:
        service_id = await cluster.services.create(skep.service_spec("web", "v1"), registry_auth=ANN)
        await anyio.sleep(1)
        await cluster.engine.store.keyring.destroy(f"registry-{service_id}")
        assert await told(cluster) == {"v1": ""}
        assert await told(cluster) == {"v1": ""}
        shown = capsys.readouterr().out
        assert shown.count("dispatcher.credentials_unreadable") == 1
        assert service_id in shown
