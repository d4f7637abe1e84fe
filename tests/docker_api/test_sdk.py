"""Docker's own Python SDK drives a swarm."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import EndpointSpec, RestartPolicy, ServiceMode
from docker_harness import served


@contextmanager
def client_of(path: Path) -> Iterator[Any]:
    client = docker.DockerClient(base_url=f"unix://{path}", version="auto")
    try:
        yield client
    finally:
        client.close()


async def test_the_sdk_walks_through_a_swarm() -> None:
    async with served(init=False) as api:
        await asyncio.to_thread(walk, api.path)


def walk(path: Path) -> None:
    with client_of(path) as client:
        assert client.ping()
        assert client.version()["ApiVersion"] == "1.44"
        assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
        node_id = client.swarm.init(advertise_addr="127.0.0.1")
        assert [node.id for node in client.nodes.list(filters={"role": "manager"})] == [node_id]
        client.swarm.reload()
        assert client.swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")
        assert client.swarm.update(rotate_worker_token=True)

        secret = client.secrets.create(name="hush", data=b"x", labels={"a": "1"})
        assert [one.id for one in client.secrets.list(filters={"label": "a=1"})] == [secret.id]
        config = client.configs.create(name="open", data=b"x")
        assert client.configs.get(config.id).name == "open"

        service = client.services.create(
            "nginx:1",
            name="web",
            labels={"tier": "front"},
            mode=ServiceMode("replicated", replicas=2),
            restart_policy=RestartPolicy("on-failure", delay=1_000_000_000),
            endpoint_spec=EndpointSpec(ports={8080: 80}),
        )
        assert client.services.get("web").id == service.id
        policy = service.attrs["Spec"]["TaskTemplate"]["RestartPolicy"]
        assert policy == {"Condition": "on-failure", "Delay": 1_000_000_000, "MaxAttempts": 0, "Window": 0}
        assert len(service.tasks(filters={"desired-state": "running"})) == 2
        assert service.scale(3)
        service.reload()
        assert service.attrs["Spec"]["Mode"] == {"Replicated": {"Replicas": 3}}
        assert service.update(image="nginx:2") == {"Warnings": None}
        service.reload()
        assert service.force_update()
        service.reload()
        assert service.attrs["Spec"]["TaskTemplate"]["ForceUpdate"] == 1
        with pytest.raises(APIError, match="name conflicts with an existing object"):
            client.services.create("nginx:1", name="web")
        assert service.remove()
        with pytest.raises(NotFound):
            client.services.get("web")
        with pytest.raises(APIError, match="skep does not implement containers"):
            client.containers.list()

        assert secret.remove()
        assert config.remove()
        assert client.swarm.leave(force=True)
        assert client.info()["Swarm"]["LocalNodeState"] == "inactive"


async def test_the_sdk_follows_events() -> None:
    async with served() as api:
        await api.ask("POST", "/configs/create", {"Name": "c", "Data": "eA=="})
        first = await asyncio.to_thread(first_event, api.path)
        assert (first["Type"], first["Action"], first["scope"]) == ("config", "create", "swarm")
        assert first["Actor"]["Attributes"] == {"name": "c"}


def first_event(path: Path) -> Any:
    with client_of(path) as client:
        events = client.events(since=1, decode=True, filters={"type": "config"})
        try:
            return next(events)
        finally:
            events.close()
