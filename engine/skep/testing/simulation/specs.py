"""The parts of which people make specs, each drawn by itself; and which nodes fit what they ask for.

Another part of a spec (a resource, a network, a port) is another function here, and a line in `of_service`.
"""

from random import Random

from msgspec.structs import replace

from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.container import ConfigReference, FileTarget, SecretReference
from skep.model.ids import NANOSECONDS
from skep.model.node import Node
from skep.model.service import Placement, PortConfig, RestartPolicy, ServiceSpec, TaskSpec, UpdateConfig
from skep.model.states import Role
from skep.testing.simulation.behaviours import FLEETING, STEADY

ZONES = ("a", "b", "c")

#: So many names there are; few enough that some are taken.
NAMES = 40

#: How often a node has a label, and a service a port: a mix, not a rule.
LABELLED = 0.8
PUBLISHED = 0.3


def of_service(random: Random, state: ClusterState) -> ServiceSpec:
    """Return the spec of a new service."""
    spec = service_spec(
        f"service-{random.randrange(NAMES)}",
        image(random),
        replicas=random.randrange(6),
        ports=ports(random),
        restart=restart(random),
        update=rollout(random),
    )
    spec = with_container(spec, secrets=secrets(random, state), configs=configs(random, state))
    return with_template(replace(spec, rollback_config=rollout(random)), placement=placement(random))


def with_template(spec: ServiceSpec, **changes: object) -> ServiceSpec:
    """Return `spec` with another template."""
    template: TaskSpec = replace(spec.template, **changes)
    return replace(spec, task_template=template)


def with_container(spec: ServiceSpec, **changes: object) -> ServiceSpec:
    """Return `spec` with another container."""
    return with_template(spec, container_spec=replace(spec.container, **changes))


def image(random: Random) -> str:
    """Draw what tasks run."""
    kind = random.choice((*STEADY, *STEADY, *FLEETING))
    return f"{kind}:{random.randrange(3)}"


def restart(random: Random) -> RestartPolicy:
    """Draw when tasks are replaced."""
    return RestartPolicy(
        condition=random.choice(("any", "any", "on-failure", "none")),
        delay=random.choice((None, NANOSECONDS, 2 * NANOSECONDS)),
        max_attempts=random.choice((0, 0, 2)),
    )


def rollout(random: Random) -> UpdateConfig:
    """Draw how an update or a rollback goes."""
    return UpdateConfig(
        parallelism=random.randrange(3),
        delay=random.randrange(3) * NANOSECONDS,
        monitor=random.randrange(4) * NANOSECONDS,
        failure_action=random.choice(("pause", "continue", "rollback")),
        max_failure_ratio=random.choice((0.0, 0.0, 0.5)),
        order=random.choice(("stop-first", "start-first")),
    )


def placement(random: Random) -> Placement | None:
    """Draw where tasks may be."""
    match random.randrange(6):
        case 0:
            return Placement(constraints=(f"node.labels.zone=={random.choice((*ZONES, 'nowhere'))}",))
        case 1:
            return Placement(constraints=(f"node.labels.zone!={random.choice(ZONES)}",))
        case 2:
            return Placement(constraints=("node.role==worker",), max_replicas=random.randrange(2))
        case 3:
            return Placement(max_replicas=random.choice((1, 2)))
    return None


def fits(wanted: Placement, node: Node) -> bool:
    """Whether a node fulfils such constraints as are drawn here; told apart from the engine's own judgement."""
    has = {
        "node.labels.zone": (node.spec.labels or {}).get("zone", ""),
        "node.role": str(node.spec.role or Role.WORKER),
    }
    for text in wanted.constraints:
        key, equal, value = text.partition("==") if "==" in text else text.partition("!=")
        if (has[key] == value) is not (equal == "=="):
            return False
    return True


def ports(random: Random) -> tuple[PortConfig, ...]:
    """Draw what a service publishes."""
    if random.random() >= PUBLISHED:
        return ()
    return (PortConfig(target_port=80, published_port=random.choice((0, 0, 8080))),)


def secrets(random: Random, state: ClusterState) -> tuple[SecretReference, ...]:
    """Draw the secrets of a container."""
    known = list(state.secrets.values())
    return tuple(
        SecretReference(FileTarget(s.spec.name, "0", "0", 0o400), s.id, s.spec.name)
        for s in random.sample(known, k=min(len(known), random.randrange(3)))
    )


def configs(random: Random, state: ClusterState) -> tuple[ConfigReference, ...]:
    """Draw the configs of a container."""
    known = list(state.configs.values())
    return tuple(
        ConfigReference(FileTarget(c.spec.name, "0", "0", 0o400), config_id=c.id, config_name=c.spec.name)
        for c in random.sample(known, k=min(len(known), random.randrange(2)))
    )


def labels(random: Random) -> dict[str, str]:
    """Draw the labels of a node."""
    return {"zone": random.choice(ZONES)} if random.random() < LABELLED else {}
