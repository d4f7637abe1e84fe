"""Docker's Python SDK and aiodocker walk through a swarm with an engine that joined, from init to leave."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiodocker
import docker
import pytest
from aiodocker.exceptions import DockerError
from docker.errors import APIError, NotFound
from docker.types import (
    ConfigReference,
    EndpointSpec,
    NetworkAttachmentConfig,
    RollbackConfig,
    SecretReference,
    ServiceMode,
    UpdateConfig,
)

from tests.acceptance.daemon import PATIENCE_S, eventually
from tests.engines.engine import Engine
from tests.engines.rig import Rig
from tests.engines.skep_daemon import Skep

pytestmark = pytest.mark.timeout(600)

SECOND = 1_000_000_000
AT_ONCE = UpdateConfig(parallelism=0, monitor=SECOND // 5)
PRINTS = ["sh", "-c", "cat /run/secrets/door /page; exec sleep 1000"]


@pytest.fixture
def skep(rig: Rig, home: Path) -> Iterator[Skep]:
    """skep without a swarm, and what it leaves looked at."""
    machine = rig.machine("manager")
    skep = Skep(machine, home, "--executor", "simulated", "--advertise-addr", machine.address)
    skep.start()
    yield skep
    skep.close()


def join(rig: Rig, skep: Skep, token: str) -> Engine:
    engine = rig.engine("host-1")
    engine.docker("swarm", "join", "--token", token, f"{skep.address}:2377")
    return engine


def test_dockers_own_sdk_walks_through_a_swarm(skep: Skep, rig: Rig) -> None:
    with closing(docker.DockerClient(base_url=f"unix://{skep.socket}", timeout=120)) as client:
        Walk(client).walk(lambda token: join(rig, skep, token))


class Walk:
    """The walk of Docker's own SDK."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client

    def walk(self, joined: Callable[[str], Engine]) -> None:
        client = self.client
        manager = client.swarm.init()
        client.swarm.reload()
        engine = joined(client.swarm.attrs["JoinTokens"]["Worker"])
        self.nodes(manager)
        heard, events = self.listening()
        self.contents(engine)
        self.modes()
        self.changes()
        eventually(lambda: ("service", "remove", "web") in heard, "it hears of the last")
        events.close()
        assert ("service", "update", "web") in heard
        past = list(client.events(since=1, until=int(time.time()), decode=True, filters={"type": "node"}))
        assert past[0]["Action"] == "create"
        assert client.swarm.leave(force=True)
        assert client.info()["Swarm"]["LocalNodeState"] == "inactive"

    def nodes(self, manager: str) -> None:
        client = self.client

        def both() -> bool:
            return [each.attrs["Status"]["State"] for each in client.nodes.list()] == ["ready"] * 2

        eventually(both, "both nodes are ready")
        (first,) = client.nodes.list(filters={"role": "manager"})
        (worker,) = client.nodes.list(filters={"role": "worker"})
        assert first.id == manager
        assert worker.attrs["Description"]["Hostname"] == "host-1"
        assert first.update({**first.attrs["Spec"], "Availability": "drain"})
        assert worker.update({**worker.attrs["Spec"], "Labels": {"zone": "a"}})
        worker.reload()
        assert worker.attrs["Spec"]["Labels"] == {"zone": "a"}
        with pytest.raises(APIError, match="update out of sequence"):
            client.api.update_node(worker.id, 1, worker.attrs["Spec"])

    def listening(self) -> tuple[list[tuple[str, str, str]], Any]:
        """Listen to events from now on."""
        heard: list[tuple[str, str, str]] = []
        events = self.client.events(decode=True)

        def listen() -> None:
            heard.extend((one["Type"], one["Action"], one["Actor"]["Attributes"].get("name", "")) for one in events)

        threading.Thread(target=listen, daemon=True).start()
        return heard, events

    def contents(self, engine: Engine) -> None:
        """Let a container read a secret and a config, and reach another over a network."""
        client = self.client
        secret = client.secrets.create(name="door", data=b"open sesame\n", labels={"a": "1"})
        config = client.configs.create(name="page", data=b"<p>\n")
        network = client.networks.create("shop", driver="overlay", attachable=True, scope="swarm")
        assert [each.id for each in client.secrets.list(filters={"label": "a=1"})] == [secret.id]
        assert client.configs.get("page").attrs["Spec"]["Data"] == "PHA+Cg=="
        assert [each.id for each in client.networks.list(names=["shop"])] == [network.id]
        service = client.services.create(
            "app:v1",
            command=PRINTS,
            name="reader",
            constraints=["node.labels.zone==a"],
            secrets=[SecretReference(secret.id, "door")],
            configs=[ConfigReference(config.id, "page")],
            networks=[NetworkAttachmentConfig("shop", aliases=["books"])],
            endpoint_spec=EndpointSpec(ports={8080: 80}),
        )
        self.run(service, 1)
        assert eventually(lambda: b"".join(service.logs(stdout=True)), "it prints") == b"open sesame\n<p>\n"
        (task,) = service.tasks(filters={"desired-state": "running"})
        assert task["Status"]["ContainerStatus"]["ContainerID"] in engine.docker("ps", "-q", "--no-trunc")
        assert task["NetworksAttachments"]
        for each in (secret, config):
            with pytest.raises(APIError, match="is in use by the following service: reader"):
                each.remove()
        assert service.remove()
        eventually(lambda: not client.api.tasks(), "its tasks are gone")
        for each in (secret, config):
            assert each.remove()
            with pytest.raises(NotFound):
                each.reload()
        network.remove()
        eventually(lambda: not engine.docker("ps", "-q"), "no container is left")

    def modes(self) -> None:
        client = self.client
        everywhere = client.services.create("app:v1", name="everywhere", mode=ServiceMode("global"))
        some = client.services.create(
            "app:v1", command=["true"], name="some", mode=ServiceMode("replicated-job", replicas=2, concurrency=1)
        )
        each = client.services.create("app:v1", command=["true"], name="each", mode=ServiceMode("global-job"))
        self.run(everywhere, 1)
        for service, count in ((some, 2), (each, 1)):
            eventually(lambda s=service, n=count: self.states(s) == ["complete"] * n, "the job is done")
        (shown,) = client.services.list(filters={"name": "some"}, status=True)
        assert shown.attrs["ServiceStatus"]["CompletedTasks"] == 2
        assert {one.name for one in client.services.list(filters={"mode": "global"})} == {"everywhere"}
        for service in (everywhere, some, each):
            assert service.remove()

    def changes(self) -> None:
        client = self.client
        service = client.services.create(
            "app:v1",
            name="web",
            mode=ServiceMode("replicated", replicas=2),
            update_config=AT_ONCE,
            rollback_config=RollbackConfig(parallelism=0, monitor=SECOND // 5),
        )
        self.run(service, 2)
        assert service.scale(3)
        self.run(service, 3)
        service.reload()
        service.update(image="app:v2")
        self.updated(service, "completed", "app:v2")
        service.reload()
        version = service.attrs["Version"]["Index"]
        # the SDK has no word for it: `rollback` is a parameter of the query
        client.api._result(
            client.api._post_json(
                client.api._url("/services/{0}/update", service.id),
                data=service.attrs["Spec"],
                params={"version": version, "rollback": "previous"},
            ),
            json=True,
        )
        self.updated(service, "rollback_completed", "app:v1")
        service.reload()
        assert service.force_update()
        self.run(service, 3)
        with pytest.raises(APIError, match="name conflicts with an existing object"):
            client.services.create("app:v1", name="web")
        assert service.remove()
        with pytest.raises(NotFound):
            client.services.get("web")

    def states(self, service: Any) -> list[str]:
        return [task["Status"]["State"] for task in service.tasks()]

    def run(self, service: Any, count: int) -> None:
        """Wait until so many tasks of a service run, and no others are wanted."""

        def running() -> bool:
            tasks = service.tasks(filters={"desired-state": ["running", "ready"]})
            return [task["Status"]["State"] for task in tasks] == ["running"] * count

        eventually(running, f"{count} of {service.name} run")

    def updated(self, service: Any, state: str, image: str) -> None:
        def done() -> bool:
            service.reload()
            return bool(service.attrs.get("UpdateStatus", {}).get("State") == state)

        eventually(done, f"{service.name} is {state}")
        assert service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == image
        tasks = service.tasks(filters={"desired-state": "running"})
        assert {task["Spec"]["ContainerSpec"]["Image"] for task in tasks} == {image}


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Return the first true answer."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await holds()):  # noqa: ASYNC110  # the other side of a socket sets no event
            await asyncio.sleep(0.05)
    return found


async def test_aiodocker_walks_through_a_swarm(skep: Skep, rig: Rig) -> None:
    client = aiodocker.Docker(url=f"unix://{skep.socket}")
    try:
        await AsyncWalk(client).walk(lambda token: join(rig, skep, token))
    finally:
        await client.close()


class AsyncWalk:
    """The same walk, as far as aiodocker knows the way."""

    def __init__(self, client: aiodocker.Docker) -> None:
        self.client = client

    async def walk(self, joined: Callable[[str], Engine]) -> None:
        client = self.client
        manager = await client.swarm.init()
        tokens = (await client.swarm.inspect())["JoinTokens"]
        engine = await asyncio.to_thread(joined, tokens["Worker"])
        await self.nodes(manager)
        events = client.events.subscribe()
        await self.contents(engine)
        await self.modes()
        await self.changes()
        heard = []
        async with asyncio.timeout(PATIENCE_S):
            while ("service", "remove", "web") not in heard:
                event = await events.get()
                heard.append((event["Type"], event["Action"], event["Actor"]["Attributes"].get("name", "")))
        assert ("secret", "create", "door") in heard
        assert await client.swarm.leave(force=True)
        assert (await client.system.info())["Swarm"]["LocalNodeState"] == "inactive"

    async def nodes(self, manager: str) -> None:
        nodes = self.client.nodes

        async def both() -> bool:
            return [each["Status"]["State"] for each in await nodes.list()] == ["ready"] * 2

        await until(both)
        (worker,) = await nodes.list(filters={"role": "worker"})
        for node_id, change in ((manager, {"Availability": "drain"}), (worker["ID"], {"Labels": {"zone": "a"}})):
            node = await nodes.inspect(node_id=node_id)
            await nodes.update(node_id=node_id, version=node["Version"]["Index"], spec={**node["Spec"], **change})
        assert (await nodes.inspect(node_id="host-1"))["Spec"]["Labels"] == {"zone": "a"}
        with pytest.raises(DockerError) as refused:
            await nodes.remove(node_id="host-1")
        assert refused.value.status == 400

    async def contents(self, engine: Engine) -> None:
        client = self.client
        secret = await client.secrets.create("door", "open sesame\n", labels={"a": "1"})
        config = await client.configs.create("page", "<p>\n")
        network = await client.networks.create({"Name": "shop", "Driver": "overlay", "Attachable": True})
        found = await client.secrets.inspect("door")
        assert await client.secrets.update(secret["ID"], found["Version"]["Index"], labels={"a": "2"})
        assert [one["ID"] for one in await client.secrets.list(filters={"label": "a=2"})] == [secret["ID"]]
        assert (await network.show())["Scope"] == "swarm"
        file = {"UID": "0", "GID": "0", "Mode": 0o444}
        service = await client.services.create(
            {
                "ContainerSpec": {
                    "Image": "app:v1",
                    "Command": PRINTS,
                    "Secrets": [
                        {"SecretID": secret["ID"], "SecretName": "door", "File": {**file, "Name": "door"}},
                    ],
                    "Configs": [
                        {"ConfigID": config["ID"], "ConfigName": "page", "File": {**file, "Name": "/page"}},
                    ],
                }
            },
            name="reader",
            networks=["shop"],
            endpoint_spec={"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]},
        )
        await self.run("reader", 1)

        async def printed() -> Any:
            return await client.services.logs("reader", stdout=True)

        assert "".join(await until(printed)) == "open sesame\n<p>\n"
        (task,) = await client.tasks.list(filters={"service": "reader"})
        assert (await client.tasks.inspect(task["ID"]))["ServiceID"] == service["ID"]
        assert task["Status"]["ContainerStatus"]["ContainerID"] in engine.docker("ps", "-q", "--no-trunc")
        with pytest.raises(DockerError, match="is in use by the following service: reader"):
            await client.secrets.delete("door")
        assert await client.services.delete("reader")

        async def ended() -> bool:
            return not await client.tasks.list()

        await until(ended)
        assert await client.secrets.delete("door")
        assert await client.configs.delete("page")
        assert await network.delete()

    async def modes(self) -> None:
        services = self.client.services
        modes: dict[str, Any] = {
            "everywhere": {"Global": {}},
            "some": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}},
            "each": {"GlobalJob": {}},
        }
        for name, mode in modes.items():
            command = {} if name == "everywhere" else {"Command": ["true"]}
            await services.create({"ContainerSpec": {"Image": "app:v1", **command}}, name=name, mode=mode)
        await self.run("everywhere", 1)
        for name, count in (("some", 2), ("each", 1)):

            async def complete(name: str = name, count: int = count) -> bool:
                tasks = await self.client.tasks.list(filters={"service": name})
                return [one["Status"]["State"] for one in tasks] == ["complete"] * count

            await until(complete)
        for name in modes:
            assert await services.delete(name)

    async def changes(self) -> None:
        services = self.client.services
        soon = {"Parallelism": 0, "Monitor": SECOND // 5}
        await services.create(
            {"ContainerSpec": {"Image": "app:v1"}},
            name="web",
            mode={"Replicated": {"Replicas": 2}},
            update_config=soon,
            rollback_config=soon,
        )
        await self.run("web", 2)
        assert await services.update("web", (await services.inspect("web"))["Version"]["Index"], image="app:v2")
        await self.updated("completed", "app:v2")
        assert await services.update("web", (await services.inspect("web"))["Version"]["Index"], rollback=True)
        await self.updated("rollback_completed", "app:v1")
        with pytest.raises(DockerError, match="update out of sequence"):
            await services.update("web", "1", image="app:v2")
        with pytest.raises(DockerError, match="name conflicts with an existing object"):
            await services.create({"ContainerSpec": {"Image": "app:v1"}}, name="web")
        assert [one["Spec"]["Name"] for one in await services.list(filters={"name": "web"})] == ["web"]
        assert await services.delete("web")
        with pytest.raises(DockerError, match="service web not found"):
            await services.inspect("web")

    async def run(self, name: str, count: int) -> None:
        async def running() -> bool:
            wanted = {"service": name, "desired-state": ["running", "ready"]}
            tasks = await self.client.tasks.list(filters=wanted)
            return [one["Status"]["State"] for one in tasks] == ["running"] * count

        await until(running)

    async def updated(self, state: str, image: str) -> None:
        async def done() -> bool:
            shown = await self.client.services.inspect("web")
            return bool(shown.get("UpdateStatus", {}).get("State") == state)

        await until(done)
        tasks = await self.client.tasks.list(filters={"service": "web", "desired-state": "running"})
        assert {task["Spec"]["ContainerSpec"]["Image"] for task in tasks} == {image}
