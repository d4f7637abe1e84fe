"""Docker's own Python SDK walks through a swarm of the real daemon."""

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import (
    ConfigReference,
    EndpointSpec,
    RestartPolicy,
    SecretReference,
    ServiceMode,
    UpdateConfig,
)

from tests.acceptance.daemon import Daemon, eventually

pytestmark = pytest.mark.timeout(600)

NANOSECONDS = 1_000_000_000

#: What is published has to listen at the task's own address; the backlog is all that is needed of it.
LISTENS = """import os, socket, time
listening = socket.create_server((os.environ["SKEP_TASK_ADDR"], 8000))
while True:
    print("tick", flush=True)
    time.sleep(1)
"""
SERVING = (sys.executable, "-c", LISTENS)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[docker.DockerClient]:
    """The SDK with a daemon of two nodes and no swarm yet."""
    daemon.start("--nodes", "2")
    with closing(docker.DockerClient(base_url=f"unix://{daemon.socket}", timeout=120)) as client:
        yield client


@pytest.fixture
def swarm(client: docker.DockerClient) -> docker.DockerClient:
    client.swarm.init(advertise_addr="127.0.0.1")
    return client


def states(service: Any, **filters: str) -> list[str]:
    return [task["Status"]["State"] for task in service.tasks(filters=filters)]


def test_a_swarm_begins_shows_its_nodes_and_is_left(client: docker.DockerClient, daemon: Daemon) -> None:
    with pytest.raises(APIError, match="This node is not a swarm manager") as refused:
        client.services.list()
    assert refused.value.status_code == 503
    node_id = client.swarm.init(advertise_addr="127.0.0.1", task_history_retention_limit=3)
    with pytest.raises(APIError, match="This node is already part of a swarm"):
        client.swarm.init()
    info = client.info()["Swarm"]
    assert (info["NodeID"], info["LocalNodeState"], info["ControlAvailable"]) == (node_id, "active", True)
    client.swarm.reload()
    assert client.swarm.attrs["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 3
    tokens = client.swarm.attrs["JoinTokens"]
    assert client.swarm.update(rotate_worker_token=True)
    client.swarm.reload()
    assert client.swarm.attrs["JoinTokens"]["Worker"] != tokens["Worker"]
    assert client.swarm.attrs["JoinTokens"]["Manager"] == tokens["Manager"]

    nodes = {node.attrs["Description"]["Hostname"]: node for node in client.nodes.list()}
    assert sorted(nodes) == ["node1", "node2"]
    assert [node.id for node in client.nodes.list(filters={"role": "manager"})] == [node_id]
    worker = nodes["node2"]
    spec = worker.attrs["Spec"] | {"Availability": "drain", "Labels": {"zone": "a"}}
    assert worker.update(spec)
    worker.reload()
    assert worker.attrs["Spec"] == {"Availability": "drain", "Labels": {"zone": "a"}, "Role": "worker"}

    with pytest.raises(APIError, match="Use `--force`") as refused:
        client.swarm.leave()
    assert refused.value.status_code == 503
    assert client.swarm.leave(force=True)
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
    assert client.swarm.init(advertise_addr="127.0.0.1") != node_id
    assert len(list((daemon.data / "swarms").iterdir())) == 2


def test_a_service_is_created_read_scaled_updated_and_removed(swarm: docker.DockerClient, daemon: Daemon) -> None:
    service = swarm.services.create(
        "alpine:3",
        args=list(SERVING),
        name="web",
        labels={"tier": "front"},
        env=["A=1"],
        mode=ServiceMode("replicated", replicas=2),
        restart_policy=RestartPolicy("on-failure", delay=NANOSECONDS),
        update_config=UpdateConfig(parallelism=0, monitor=NANOSECONDS // 5),
        endpoint_spec=EndpointSpec(ports={8080: 8000}),
    )
    eventually(lambda: states(service, **{"desired-state": "running"}) == ["running"] * 2, "two of them run")
    assert [one.id for one in swarm.services.list(filters={"label": "tier=front"})] == [service.id]
    assert swarm.services.list(filters={"name": "other"}) == []
    assert swarm.services.get("web").id == swarm.services.get(service.id[:10]).id == service.id
    shown = swarm.api.inspect_service("web")
    assert shown["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]
    assert shown["Endpoint"]["Ports"][0]["PublishedPort"] == 8080
    eventually(lambda: b"tick" in b"".join(service.logs(stdout=True)), "they print")
    assert b"".join(service.logs(stdout=True, tail=1)) in (b"tick\n", b"tick\n" * 2)
    followed = service.logs(stdout=True, follow=True, tail=0)
    assert next(followed) == b"tick\n"
    followed.gi_frame.f_locals["response"].close()  # the SDK gives no other way to end it

    assert service.scale(4)
    eventually(lambda: states(service, **{"desired-state": "running"}) == ["running"] * 4, "four of them run")
    service.reload()
    before = service.attrs["Version"]["Index"]
    old = {task["ID"] for task in service.tasks(filters={"desired-state": "running"})}
    service.update(image="alpine:4", env=["A=2"])

    def updated() -> bool:
        """Say whether all tasks are new ones, which run what was asked for last."""
        tasks = service.tasks(filters={"desired-state": "running"})
        new = [task for task in tasks if task["Spec"]["ContainerSpec"]["Env"] == ["A=2"]]
        return len(new) == len(tasks) == 4 and all(task["Status"]["State"] == "running" for task in new)

    eventually(updated, "the tasks were replaced")
    assert not old & {task["ID"] for task in service.tasks(filters={"desired-state": "running"})}
    with pytest.raises(APIError, match="update out of sequence") as refused:
        swarm.api.update_service(service.id, before - 1, service.attrs["Spec"]["TaskTemplate"], name="web")
    assert refused.value.status_code == 500

    with pytest.raises(APIError, match="name conflicts with an existing object") as refused:
        swarm.services.create("alpine", name="web")
    assert refused.value.status_code == 409
    assert service.remove()
    with pytest.raises(NotFound, match=f"service {service.id} not found"):
        service.reload()
    with pytest.raises(NotFound, match="service web not found"):
        swarm.services.get("web")
    eventually(lambda: swarm.api.tasks() == [], "no task is left")
    eventually(lambda: not daemon.tasks(), "no process is left")


def test_secrets_and_configs_reach_a_task_and_are_kept_while_it_needs_them(swarm: docker.DockerClient) -> None:
    secret = swarm.secrets.create(name="door", data=b"open sesame\n", labels={"a": "1"})
    config = swarm.configs.create(name="page", data=b"<p>\n", labels={"a": "1"})
    assert [one.id for one in swarm.secrets.list(filters={"label": "a=1"})] == [secret.id]
    assert [one.id for one in swarm.configs.list(filters={"name": "page"})] == [config.id]
    assert swarm.secrets.get(secret.id).attrs["Spec"] == {"Name": "door", "Labels": {"a": "1"}}
    assert swarm.configs.get("page").attrs["Spec"]["Data"] == "PHA+Cg=="
    with pytest.raises(APIError, match="secret door already exists") as refused:
        swarm.secrets.create(name="door", data=b"x")
    assert refused.value.status_code == 409
    service = swarm.services.create(
        "alpine",
        args=["sh", "-c", 'cat "$SKEP_SECRETS_DIR/door" "$SKEP_CONFIGS_DIR/page"; exec sleep 1000'],
        name="reader",
        secrets=[SecretReference(secret.id, "door")],
        configs=[ConfigReference(config.id, "page")],
    )
    printed = eventually(lambda: b"".join(service.logs(stdout=True)), "it prints them")
    assert printed == b"open sesame\n<p>\n"
    for one in (secret, config):
        with pytest.raises(APIError, match="is in use by the following service: reader") as refused:
            one.remove()
        assert refused.value.status_code == 400
    assert service.remove()
    for one in (secret, config):
        assert one.remove()
        with pytest.raises(NotFound):
            one.reload()


def test_events_are_told_while_they_happen(swarm: docker.DockerClient) -> None:
    heard: list[tuple[str, str, str]] = []
    events = swarm.events(decode=True, filters={"type": ["service", "secret", "config"]})

    def listen() -> None:
        heard.extend((event["Type"], event["Action"], event["Actor"]["Attributes"]["name"]) for event in events)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    secret = swarm.secrets.create(name="door", data=b"x")
    service = swarm.services.create("alpine", args=["sleep", "1000"], name="web")
    service.update(labels={"a": "1"})
    service.remove()
    secret.remove()
    eventually(lambda: ("secret", "remove", "door") in heard, "it hears of the last")
    events.close()
    listener.join()
    assert list(dict.fromkeys(heard)) == [
        *(("secret", "create", "door"), ("service", "create", "web"), ("service", "update", "web")),
        *(("service", "remove", "web"), ("secret", "remove", "door")),
    ]
