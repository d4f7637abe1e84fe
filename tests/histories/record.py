"""Make a new golden history: `python tests/histories/record.py NAME`. One that exists is never written again.

A story with every kind of event, played by the running engine over memory in virtual time.
"""

import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec.structs import replace
from skep import Cluster, ConfigSpec, SecretSpec, service_spec
from skep.core.commands import CreateTasks
from skep.core.record import Actor
from skep.model.container import ContainerSpec
from skep.model.ids import START, NodeId, TaskId
from skep.model.service import Placement, PortConfig, RestartPolicy, ServiceSpec, UpdateConfig
from skep.model.states import Availability, TaskState
from skep.ports.link import AssignedTask
from skep.runtime.memory import MemoryStorage
from skep.runtime.simulated import Behaviour, SimulatedExecutor
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock, run_virtual

HERE = Path(__file__).parent


def behaviour(task: AssignedTask) -> Behaviour:
    """Return how a task behaves: by its image."""
    spec = task.template.spec.container_spec or ContainerSpec()
    return {
        "fails:latest": Behaviour(run_s=2.0, exit_code=3),
        "refused:latest": Behaviour(reject="No such image: refused"),
        "slow:latest": Behaviour(pull_s=1.0, start_s=1.0),
    }.get(spec.image, Behaviour())


def cluster_over(storage: MemoryStorage, clock: VirtualClock, seed: int) -> AbstractAsyncContextManager[Cluster]:
    """Open three nodes."""
    return Cluster.open(
        storage=storage,
        nodes=3,
        clock=clock,
        ids=SeededIds(seed),
        executor=lambda _name, _number: SimulatedExecutor(behaviour, clock=clock),
    )


def updating(name: str, image: str, order: str = "stop-first") -> ServiceSpec:
    """Return a service that is updated quickly."""
    update = UpdateConfig(parallelism=2, monitor=1_000_000_000, failure_action="rollback", order=order)
    spec = service_spec(name, image, replicas=4, update=update)
    return replace(spec, rollback_config=UpdateConfig(parallelism=0, monitor=1_000_000_000))


async def first_life(cluster: Cluster) -> None:
    """Services, secrets, updates that go well and badly."""
    secret = await cluster.secrets.get(await cluster.secrets.create(SecretSpec(name="pw"), b"hidden"))
    config = await cluster.configs.get(await cluster.configs.create(ConfigSpec(name="conf", data=b"seen")))
    await cluster.secrets.update(secret.id, secret.version, SecretSpec(name="pw", labels={"a": "1"}))
    await cluster.configs.update(config.id, config.version, ConfigSpec(name="conf", labels={"a": "1"}))
    spec = service_spec(
        "web", "demo", replicas=5, secrets=[secret], configs=[config], ports=[PortConfig(target_port=80)]
    )
    await cluster.services.create(spec)
    await cluster.converged("web")
    await cluster.services.scale("web", 2)
    await cluster.converged("web")
    rolling = await cluster.services.create(updating("rolling", "demo"))
    await cluster.converged("rolling")
    for image in ("slow", "refused"):  # the second is rolled back by itself
        service = await cluster.services.get("rolling")
        await cluster.services.update(rolling, service.version, updating("rolling", image))
        await cluster.converged("rolling")
    service = await cluster.services.get("rolling")
    await cluster.services.update(rolling, service.version, updating("rolling", "demo", order="start-first"))
    await cluster.converged("rolling")
    service = await cluster.services.get("rolling")
    await cluster.services.rollback(rolling, service.version)
    await cluster.converged("rolling")
    failing = service_spec("failing", "fails", restart=RestartPolicy("any", 1_000_000_000, 2))
    await cluster.services.create(failing)
    await asyncio.sleep(20)


async def second_life(cluster: Cluster) -> None:
    """Nodes that come and go, a task that waits, and the end."""
    node = await cluster.nodes.get("node3")
    await cluster.nodes.update(node.id, node.version, replace(node.spec, availability=Availability.DRAIN))
    await cluster.converged("web")
    web = await cluster.services.get("web")
    task = CreateTasks(web.id, web.spec_version, (TaskId(cluster.ids.new()),), state=TaskState.NEW, slots=(9,))
    await cluster.engine.writer.submit(task, actor=Actor("person", "embedded"))
    everywhere = service_spec("nowhere", "demo")
    await cluster.services.create(_constrained(everywhere, "node.labels.zone==moon"))
    await asyncio.sleep(2)
    swarm = await cluster.swarm.inspect()
    await cluster.swarm.update(swarm.version, replace(swarm.spec, labels={"b": "2"}), rotate_worker_token=True)
    await cluster.nodes.remove(NodeId(node.id), force=True)
    for name in ("web", "rolling", "failing", "nowhere"):
        await cluster.services.remove((await cluster.services.get(name)).id)
    await asyncio.sleep(30)
    await cluster.secrets.remove((await cluster.secrets.get("pw")).id)
    await cluster.configs.remove((await cluster.configs.get("conf")).id)
    await cluster.swarm.leave(force=True)


def _constrained(spec: ServiceSpec, constraint: str) -> ServiceSpec:
    return replace(spec, task_template=replace(spec.template, placement=Placement(constraints=(constraint,))))


async def story() -> bytes:
    """Play it, and return what the log holds, a record a line."""
    storage, clock = MemoryStorage(), VirtualClock()
    async with cluster_over(storage, clock, 1) as cluster:
        await first_life(cluster)
    async with cluster_over(storage, clock, 2) as cluster:
        await second_life(cluster)
    store = await storage.latest()
    if store is None:
        raise RuntimeError("there is no log")
    records = await store.log.read(START, limit=10_000)
    return b"".join(record.body + b"\n" for record in records)


if __name__ == "__main__":
    target = HERE / f"{sys.argv[1]}.jsonl"
    if target.exists():
        sys.exit(f"{target} exists, and is never written again")
    target.write_bytes(run_virtual(story()))
