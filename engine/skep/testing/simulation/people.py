"""What people ask of the swarm, drawn from the state as it is; each request has an id by which it can be sent again."""

from random import Random

from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateConfig,
    CreateService,
    RemoveSecret,
    RemoveService,
    RollbackService,
    UpdateNode,
    UpdateService,
)
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, ConfigId, Position, ServiceId
from skep.model.secret import ConfigSpec
from skep.model.service import (
    Placement,
    PortConfig,
    ReplicatedMode,
    RestartPolicy,
    Service,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
)
from skep.model.states import Availability
from skep.ports.clock import Ids
from skep.testing.simulation.behaviours import FLEETING, STEADY

#: More services than this are not asked for: a story is about what happens to them.
SERVICES_MAX = 6


class Request(Struct):
    """Something asked, and what was answered: the position, if it was acknowledged."""

    id: str
    command: Command
    acknowledged: Position | None = None


def ask(random: Random, state: ClusterState, ids: Ids) -> Command | None:
    """Return what somebody wants now; None where there is nothing of which to want it."""
    services = list(state.services.values())
    if not services or (len(services) < SERVICES_MAX and random.random() < 0.25):  # noqa: PLR2004 - a mix, not a rule
        return CreateService(ServiceId(ids.new()), _new_spec(random, state))
    service = random.choice(services)
    match random.choice(("scale", "scale", "image", "image", "config", "rollback", "remove", "node", "forget", "keep")):
        case "scale":
            mode = ServiceMode(replicated=ReplicatedMode(random.randrange(7)))
            return _update(service, replace(service.spec, mode=mode))
        case "image":
            container = replace(service.spec.container, image=_image(random))
            template = replace(service.spec.template, container_spec=container)
            return _update(service, replace(service.spec, task_template=template))
        case "config":
            return _update(service, replace(service.spec, update_config=_rollout(random)))
        case "rollback":
            return RollbackService(service.id, service.version)
        case "remove":
            return RemoveService(service.id)
        case "node":
            node = random.choice(list(state.nodes.values()))
            spec = replace(node.spec, availability=random.choice(list(Availability)))
            return UpdateNode(node.id, node.version, spec)
        case "forget" if state.secrets:
            return RemoveSecret(random.choice([*state.secrets]))
        case "keep":
            kept = ConfigSpec(name=f"config-{random.randrange(4)}", data=random.randbytes(8))
            return CreateConfig(ConfigId(ids.new()), kept)
    return None


def _update(service: Service, spec: ServiceSpec) -> Command:
    return UpdateService(service.id, service.version, spec)


def _image(random: Random) -> str:
    kind = random.choice((*STEADY, *STEADY, *FLEETING))
    return f"{kind}:{random.randrange(3)}"


def _rollout(random: Random) -> UpdateConfig:
    return UpdateConfig(
        parallelism=random.randrange(3),
        delay=random.randrange(3) * NANOSECONDS,
        monitor=random.randrange(4) * NANOSECONDS,
        failure_action=random.choice(("pause", "continue", "rollback")),
        max_failure_ratio=random.choice((0.0, 0.0, 0.5)),
        order=random.choice(("stop-first", "start-first")),
    )


def _new_spec(random: Random, state: ClusterState) -> ServiceSpec:
    secrets = random.sample(list(state.secrets.values()), k=min(len(state.secrets), random.randrange(3)))
    configs = random.sample(list(state.configs.values()), k=min(len(state.configs), random.randrange(2)))
    ports = [PortConfig(target_port=80, published_port=random.choice((0, 0, 8080)))] if random.random() < 0.3 else []  # noqa: PLR2004 - a mix
    spec = service_spec(
        f"service-{random.randrange(1000)}",
        _image(random),
        replicas=random.randrange(6),
        secrets=secrets,
        configs=configs,
        ports=ports,
        restart=RestartPolicy(
            condition=random.choice(("any", "any", "on-failure", "none")),
            delay=random.choice((None, NANOSECONDS, 2 * NANOSECONDS)),
            max_attempts=random.choice((0, 0, 2)),
        ),
        update=_rollout(random),
    )
    if random.random() < 0.2:  # noqa: PLR2004 - a mix
        return replace(spec, task_template=replace(spec.template, placement=Placement(max_replicas=2)))
    return spec
