"""The story that a golden history records: every kind of event, and every plan, over five lives of one engine."""

import asyncio

from msgspec.structs import replace
from skep import Cluster, ConfigSpec, SecretSpec, ServiceSpec, network_spec, service_spec
from skep.core.commands import CreateTasks, ReportTasks
from skep.core.record import Actor
from skep.model.ids import NodeId, TaskId
from skep.model.node import NodeDescription
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    NamedResource,
    Placement,
    PlacementPreference,
    PortConfig,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    SpreadOver,
    UpdateConfig,
)
from skep.model.stack import StackSpec
from skep.model.states import Availability, Mode, TaskState
from skep.model.swarm import CaConfig, EncryptionConfig
from skep.model.task import TaskStatus
from skep.ports.link import AssignedTask
from skep.runtime.simulated import Behaviour, describe_node

SECOND = 1_000_000_000

#: The nodes of each life: the last one is gone in the third, and comes back in the fourth.
NODES = ("node1", "node2", "node3", "node4")

QUICKLY = UpdateConfig(parallelism=0, monitor=SECOND)

DAY_S = 86_400.0


def behaviour(task: AssignedTask) -> Behaviour:
    """Return how a task behaves: by its image."""
    container = task.template.spec.container_spec
    return {
        "fails": Behaviour(run_s=2.0, exit_code=3),
        "refused": Behaviour(reject="No such image: refused"),
        "slow": Behaviour(pull_s=1.0, start_s=1.0, stop_s=1.0),
        "work": Behaviour(run_s=3.0),
    }.get(container.image if container else "", Behaviour())


def described(number: int) -> NodeDescription:
    """Return what a node says of itself: every second one has graphics cards by name, the others a number of disks."""
    node = describe_node("simulated", cpus=4)
    named = tuple(GenericResource(named_resource_spec=NamedResource("gpu", f"card{n}")) for n in range(2))
    counted = (GenericResource(discrete_resource_spec=DiscreteResource("disk", 2)),)
    have = replace(node.resources or Reservations(), generic_resources=counted if number % 2 else named)
    return replace(node, resources=have)


def placed(spec: ServiceSpec, placement: Placement) -> ServiceSpec:
    """Return `spec` with a placement."""
    return replace(spec, task_template=replace(spec.template, placement=placement))


def reserving(spec: ServiceSpec, reservations: Reservations) -> ServiceSpec:
    """Return `spec` with reservations."""
    return replace(
        spec, task_template=replace(spec.template, resources=ResourceRequirements(reservations=reservations))
    )


def updating(name: str, image: str, order: str = "stop-first", action: str = "rollback") -> ServiceSpec:
    """Return a service that is updated quickly."""
    update = UpdateConfig(parallelism=2, monitor=SECOND, failure_action=action, order=order)
    return replace(service_spec(name, image, replicas=4, update=update), rollback_config=QUICKLY)


async def update(cluster: Cluster, spec: ServiceSpec) -> None:
    """Update the service of that name."""
    service = await cluster.services.get(spec.name)
    await cluster.services.update(service.id, service.version, spec)


async def label(cluster: Cluster, name: str, **labels: str) -> None:
    """Give a node labels."""
    node = await cluster.nodes.get(name)
    await cluster.nodes.update(node.id, node.version, replace(node.spec, labels=labels))


async def set_availability(cluster: Cluster, name: str, availability: Availability) -> None:
    """Make a node active, paused or drained."""
    node = await cluster.nodes.get(name)
    await cluster.nodes.update(node.id, node.version, replace(node.spec, availability=availability))


async def attach(cluster: Cluster) -> None:
    """Put containers of a node on a network: one leaves it, and one stays until its node is gone."""
    node = await cluster.nodes.get("node4")
    attaching = cluster.engine.attaching
    first = await attaching.attach(node.id, "front", "c0ffee", ())
    status = TaskStatus(TaskState.RUNNING, cluster.clock.now(), "started")
    report = ReportTasks(node.id, (first,), (status,))
    await cluster.engine.writer.submit(report, actor=Actor("agent", node.id))
    await attaching.attach(node.id, "front", "beef", ())
    await attaching.detach(node.id, first)


async def rotate(cluster: Cluster) -> None:
    """Make keys for the data plane, and replace the root of the swarm."""
    keys = asyncio.ensure_future(cluster.engine.upkeep.run_keys())
    await asyncio.sleep(1)
    keys.cancel()
    swarm = await cluster.swarm.inspect()
    config = replace(swarm.spec.ca_config or CaConfig(), force_rotate=1)
    await cluster.swarm.update(swarm.version, replace(swarm.spec, ca_config=config))
    await asyncio.sleep(1)


async def first_life(cluster: Cluster) -> None:
    """Replicated services, secrets, updates that go well and badly."""
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
        await update(cluster, updating("rolling", image))
        await cluster.converged("rolling")
    await update(cluster, updating("rolling", "demo", order="start-first"))
    await cluster.converged("rolling")
    await cluster.services.rollback(rolling, (await cluster.services.get("rolling")).version)
    await cluster.converged("rolling")
    await update(cluster, updating("rolling", "refused", action="pause"))
    await asyncio.sleep(20)
    first = (await cluster.services.specs("rolling"))[0]
    await cluster.services.rollback(rolling, (await cluster.services.get("rolling")).version, to=first)
    await cluster.converged("rolling")
    await cluster.services.create(
        service_spec("failing", "fails", restart=RestartPolicy("any", SECOND, 2, 60 * SECOND))
    )
    await asyncio.sleep(20)


async def second_life(cluster: Cluster) -> None:
    """The other modes, networks, and all that placement knows."""
    for number, name in enumerate(NODES):
        await label(cluster, name, zone=f"z{number % 2}", rack=f"r{number}")
    await cluster.networks.create(network_spec("front", attachable=True))
    small = await cluster.networks.create(network_spec("small", subnets=["10.77.0.0/29"]))
    await cluster.networks.remove(await cluster.networks.create(network_spec("unused")))
    await attach(cluster)
    each = service_spec("each", "demo", mode=Mode.GLOBAL, networks=["front"], ports=[_host_port(9000)])
    await cluster.services.create(each)
    await cluster.converged("each")
    await update(cluster, replace(each, task_template=replace(each.template, force_update=1)))
    await cluster.converged("each")
    await cluster.services.create(service_spec("crowd", "demo", replicas=9, networks=["small"]))  # more than it has
    await asyncio.sleep(2)
    await cluster.services.scale("crowd", 2)
    await cluster.converged("crowd")
    job = service_spec("job", "work", mode=Mode.REPLICATED_JOB, replicas=5, max_concurrent=2)
    sweep = service_spec("sweep", "work", mode=Mode.GLOBAL_JOB)
    for spec in (job, sweep):
        await cluster.services.create(spec)
        await asyncio.sleep(4)
        await update(
            cluster, replace(spec, task_template=replace(spec.template, force_update=1))
        )  # in the middle of it
        await asyncio.sleep(20)
    over = (PlacementPreference(SpreadOver("node.labels.zone")), PlacementPreference(SpreadOver("node.labels.rack")))
    await cluster.services.create(
        placed(service_spec("wide", "demo", replicas=6), Placement(preferences=over, max_replicas=2))
    )
    gpu = GenericResource(discrete_resource_spec=DiscreteResource("gpu", 1))
    disk = GenericResource(discrete_resource_spec=DiscreteResource("disk", 2))
    wants = Reservations(nano_cpus=SECOND, memory_bytes=1 << 30, generic_resources=(gpu,))
    await cluster.services.create(reserving(service_spec("cards", "demo", replicas=5), wants))  # one has to wait
    await cluster.services.create(
        reserving(service_spec("disks", "demo", replicas=2), Reservations(generic_resources=(disk,)))
    )
    await cluster.services.create(service_spec("fixed", "demo", replicas=2, ports=[_host_port(9001)]))
    await asyncio.sleep(2)
    await cluster.services.scale("cards", 3)
    await cluster.converged()
    in_zone = placed(updating("zoned", "demo"), Placement(constraints=("node.labels.zone==z0",)))
    await cluster.services.create(in_zone)
    await cluster.converged("zoned")
    await update(cluster, placed(in_zone, Placement(constraints=("node.labels.zone!=z1",))))  # its tasks may stay
    await cluster.converged("zoned")
    await cluster.services.remove((await cluster.services.get("crowd")).id)
    await asyncio.sleep(5)
    await cluster.networks.remove(small)


async def private_life(cluster: Cluster) -> None:
    """Credentials for registries, networks of the engines' own, a stack that goes back, and a lock."""
    private = updating("private", "registry.example.org/demo")
    service = await cluster.services.create(private, registry_auth="b25l")
    await cluster.converged("private")
    for image, auth in (("registry.example.org/slow", "dHdv"), ("registry.example.org/demo", "")):
        known = await cluster.services.get("private")
        await cluster.services.update(service, known.version, updating("private", image), registry_auth=auth)
        await cluster.converged("private")
    await cluster.services.rollback(service, (await cluster.services.get("private")).version)
    await cluster.services.create(service_spec("hosted", "demo", networks=["host"]))
    labels = {"com.docker.stack.namespace": "app"}
    for replicas in (1, 3):
        web = service_spec("app_web", "demo", replicas=replicas, networks=["app_back"], labels=labels)
        back = replace(network_spec("app_back"), labels=labels)
        await cluster.stacks.apply(StackSpec("app", services=(web,), networks=(back,)))
        await cluster.converged("app_web")
    await cluster.stacks.rollback("app", to=1)
    await cluster.converged("app_web")
    await cluster.stacks.remove("app")
    await asyncio.sleep(10)
    swarm = await cluster.swarm.inspect()
    locking = replace(swarm.spec, encryption_config=EncryptionConfig(auto_lock_managers=True))
    await cluster.swarm.update(swarm.version, locking)
    swarm = await cluster.swarm.inspect()
    await cluster.swarm.update(swarm.version, replace(swarm.spec, encryption_config=EncryptionConfig()))


async def third_life(cluster: Cluster) -> None:
    """Nodes that come and go: one is silent for longer than a day, and the root is replaced."""
    await rotate(cluster)
    await asyncio.sleep(60)
    await label(cluster, "node1", zone="z1", rack="r0")  # its tasks of the zone move
    await cluster.converged("zoned")
    await set_availability(cluster, "node2", Availability.PAUSE)
    await cluster.services.scale("wide", 4)
    await set_availability(cluster, "node2", Availability.DRAIN)  # a service that starts first is handed over
    await cluster.converged("rolling")
    await set_availability(cluster, "node2", Availability.ACTIVE)
    await cluster.services.rebalance("rolling", budget=2)
    await asyncio.sleep(20)
    await asyncio.sleep(DAY_S)


async def fourth_life(cluster: Cluster) -> None:
    """The silent node is back, another one is removed, and the end."""
    await asyncio.sleep(10)
    node = await cluster.nodes.get("node3")
    await set_availability(cluster, "node3", Availability.DRAIN)
    await cluster.converged("web")
    web = await cluster.services.get("web")
    task = CreateTasks(web.id, web.spec_version, (TaskId(cluster.ids.new()),), state=TaskState.NEW, slots=(9,))
    await cluster.engine.writer.submit(task, actor=Actor("person", "embedded"))
    nowhere = placed(service_spec("nowhere", "demo"), Placement(constraints=("node.labels.zone==moon",)))
    await cluster.services.create(nowhere)
    await asyncio.sleep(2)
    swarm = await cluster.swarm.inspect()
    await cluster.swarm.update(swarm.version, replace(swarm.spec, labels={"b": "2"}), rotate_worker_token=True)
    await cluster.nodes.remove(NodeId(node.id), force=True)
    for service in await cluster.services.list():
        await cluster.services.remove(service.id)
    await asyncio.sleep(30)
    for network in await cluster.networks.list():
        if not network.spec.ingress:
            await cluster.networks.remove(network.id)
    await cluster.secrets.remove((await cluster.secrets.get("pw")).id)
    await cluster.configs.remove((await cluster.configs.get("conf")).id)
    await cluster.swarm.leave(force=True)


def _host_port(port: int) -> PortConfig:
    return PortConfig(target_port=80, published_port=port, publish_mode="host")


#: The lives, each with its nodes.
LIVES = (
    (first_life, NODES[:3]),
    (second_life, NODES),
    (private_life, NODES),
    (third_life, NODES[:3]),
    (fourth_life, NODES),
)
