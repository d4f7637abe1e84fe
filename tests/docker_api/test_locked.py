"""A swarm that is locked, asked over the Engine API (recorded in scenario 54); and what surrounds its lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from docker_harness import DOCKER, Served, served
from skep.runtime.memory import MemoryStorage
from skep_adapters.docker_api import handle_swarm

LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
ANOTHER = "SWMKEY-1-" + "A" * 43
LISTEN = {"ListenAddr": "0.0.0.0:2377"}


@asynccontextmanager
async def locked() -> AsyncIterator[tuple[Served, str]]:
    """Serve a swarm that was begun locking, and opened again; its unlock key."""
    storage = MemoryStorage()
    async with served(storage=storage, init=False) as api:
        status, _ = await api.ask("POST", "/swarm/init", LISTEN | {"AutoLockManagers": True})
        assert status == 200
        key = (await api.get("/swarm/unlockkey"))["UnlockKey"]
        assert (await api.get("/swarm"))["Spec"]["EncryptionConfig"] == {"AutoLockManagers": True}
    async with served(storage=storage, init=False) as api:
        yield api, key


async def said(api: Served, method: str, path: str, body: Any = None) -> tuple[int, str]:
    status, answer = await api.ask(method, path, body)
    return status, answer["message"] if answer else ""


async def test_a_locked_swarm_answers_that_it_is_locked() -> None:
    async with locked() as (api, _):
        for path in ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/swarm/unlockkey"):
            assert await said(api, "GET", path) == (503, LOCKED)
        assert await said(api, "POST", "/services/create", {"Name": "a"}) == (503, LOCKED)
        for path, body in (("/swarm/init", LISTEN), ("/swarm/join", LISTEN)):
            status, words = await said(api, "POST", path, body)
            assert (status, words[:41]) == (503, "This node is already part of a swarm. Use")
        status, words = await said(api, "POST", "/swarm/leave")
        assert (status, words[:33]) == (503, "Swarm is encrypted and locked. Pl")
        async with api.http.get("http://skep/_ping") as answer:
            assert (answer.status, answer.headers["Swarm"]) == (200, "locked")


async def test_info_says_that_a_swarm_is_locked() -> None:
    async with locked() as (api, _):
        assert (await api.get("/info"))["Swarm"] == {
            "NodeID": "",
            "NodeAddr": "127.0.0.1",
            "LocalNodeState": "locked",
            "ControlAvailable": False,
            "Error": LOCKED,
            "RemoteManagers": None,
        }


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("bogus", 400, "invalid key string"),
        ("", 400, "invalid key string"),
        (ANOTHER, 401, "swarm could not be unlocked: invalid key provided"),
    ],
)
async def test_a_wrong_unlock_key_is_refused(key: str, status: int, words: str) -> None:
    async with locked() as (api, _):
        assert await said(api, "POST", "/swarm/unlock", {"UnlockKey": key}) == (status, words)
        assert await said(api, "GET", "/swarm") == (503, LOCKED)


async def test_an_unlocked_swarm_is_as_it_was() -> None:
    async with locked() as (api, key):
        assert await said(api, "POST", "/swarm/unlock", {"UnlockKey": key}) == (200, "")
        (node,) = await api.get("/nodes")
        assert node["Status"]["State"] == "ready"
        assert (await api.get("/swarm"))["DefaultAddrPool"] == ["10.0.0.0/8"]
        assert await said(api, "POST", "/swarm/unlock", {"UnlockKey": key}) == (409, "swarm is not locked")


async def test_outside_a_swarm_there_is_nothing_to_unlock() -> None:
    async with served(init=False) as api:
        status, words = await said(api, "POST", "/swarm/unlock", {"UnlockKey": ANOTHER})
        assert (status, words[:33]) == (503, "This node is not a swarm manager.")


async def test_a_locked_swarm_is_left_by_force() -> None:
    async with locked() as (api, _):
        assert await said(api, "POST", "/swarm/leave?force=1") == (200, "")
        assert (await api.get("/info"))["Swarm"]["LocalNodeState"] == "inactive"


@pytest.mark.skipif(DOCKER is None, reason="no docker CLI")
async def test_the_client_turns_the_lock_on_shows_rotates_and_turns_it_off() -> None:
    async with served() as api:
        assert await api.docker("swarm", "unlock-key", code=1) == "no unlock key is set"
        told = await api.docker("swarm", "update", "--autolock=true")
        key = await api.docker("swarm", "unlock-key", "-q")
        assert key in told
        assert await api.docker("swarm", "unlock-key", "--rotate", "-q") != key
        await api.docker("swarm", "update", "--autolock=false")
        assert await api.docker("swarm", "unlock-key", code=1) == "no unlock key is set"


async def test_init_answers_when_its_own_node_is_ready() -> None:
    async with served(init=False) as api:
        _, node_id = await api.ask("POST", "/swarm/init", LISTEN)
        assert (await api.get(f"/nodes/{node_id}"))["Status"] == {"State": "ready", "Addr": "127.0.0.1"}


async def test_init_answers_although_nobody_runs_its_own_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_swarm, "READY_TIMEOUT_S", 0.05)
    async with served(init=False, executor=lambda _name, _number: None) as api:
        _, node_id = await api.ask("POST", "/swarm/init", LISTEN)
        assert (await api.get(f"/nodes/{node_id}"))["Status"]["State"] == "unknown"


async def test_a_forced_new_cluster_goes_on_with_all_that_there_is() -> None:
    async with served(nodes=2) as api:
        status, _ = await api.ask(
            "POST", "/services/create", {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "demo"}}}
        )
        assert status == 201
        before = await api.get("/swarm")
        assert before["DefaultAddrPool"] is None
        forced = LISTEN | {"ForceNewCluster": True, "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": 2}}}
        status, node_id = await api.ask("POST", "/swarm/init", forced)
        assert (status, node_id) == (200, api.cluster.node_id)
        after = await api.get("/swarm")
        assert after["JoinTokens"] == before["JoinTokens"]
        assert after["Spec"] == before["Spec"] | {"Orchestration": {"TaskHistoryRetentionLimit": 2}}
        assert after["DefaultAddrPool"] == ["10.0.0.0/8"]
        assert [service["Spec"]["Name"] for service in await api.get("/services")] == ["web"]
        for node in await api.cluster.nodes.list():
            assert await api.cluster.ready(node.id, timeout_s=20)


async def test_the_address_for_data_is_kept_and_a_wrong_one_refused() -> None:
    async with served(init=False) as api:
        for wrong in ("nope0", "::", "300.1.1.1"):
            status, words = await said(api, "POST", "/swarm/init", LISTEN | {"DataPathAddr": wrong})
            assert (status, words) == (400, "data path address must be a non-zero IP address or network interface")
        await api.ask("POST", "/swarm/init", LISTEN | {"DataPathAddr": "lo"})
        (node,) = await api.cluster.nodes.list()
        assert node.manager is not None
        assert node.manager.data_path_addr == "127.0.0.1"
