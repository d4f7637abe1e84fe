"""The parts of which people make specs, each drawn by itself; where tasks may be is in `places`.

Another part of a spec is another function here, and a line in `of_service`.
"""

from random import Random

from msgspec.structs import replace

from skep.core.state import ClusterState
from skep.model.build import network_spec, service_spec
from skep.model.container import ConfigReference, FileTarget, SecretReference
from skep.model.ids import NANOSECONDS
from skep.model.network import NetworkSpec
from skep.model.service import (
    EndpointSpec,
    NetworkAttachment,
    PortConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from skep.testing.simulation.behaviours import FLEETING, STEADY, TEMPLATES
from skep.testing.simulation.places import placement, reservations

#: So many names there are; few enough that some are taken.
NAMES = 40

#: So many names of networks, and ranges that are asked for: small ones, so that their addresses run out.
NETWORK_NAMES = 6
RANGES = tuple(f"10.9.{number}.0/{prefix}" for number in range(3) for prefix in (28, 29))

#: How often a service has a port, a network, an environment of templates: a mix, not a rule.
PUBLISHED = 0.3
NETWORKED = 0.3
TEMPLATED = 0.2

#: How often people may put containers of their own on a network.
ATTACHABLE = 0.7


def of_service(random: Random, state: ClusterState) -> ServiceSpec:
    """Return the spec of a new service."""
    chosen = mode(random)
    job = chosen.replicated_job is not None or chosen.global_job is not None
    spec = service_spec(
        f"service-{random.randrange(NAMES)}",
        image(random, job=job),
        restart=restart(random, job=job),
        env=TEMPLATES if random.random() < TEMPLATED else None,
    )
    spec = with_container(spec, secrets=secrets(random, state), configs=configs(random, state))
    spec = with_template(
        spec, placement=placement(random), resources=reservations(random), networks=networks(random, state)
    )
    spec = replace(spec, mode=chosen, endpoint_spec=endpoint(random, spec))
    return spec if job else replace(spec, update_config=rollout(random), rollback_config=rollout(random))


def with_template(spec: ServiceSpec, **changes: object) -> ServiceSpec:
    """Return `spec` with another template."""
    template: TaskSpec = replace(spec.template, **changes)
    return replace(spec, task_template=template)


def with_container(spec: ServiceSpec, **changes: object) -> ServiceSpec:
    """Return `spec` with another container."""
    return with_template(spec, container_spec=replace(spec.container, **changes))


def mode(random: Random) -> ServiceMode:
    """Draw how many tasks are wanted, and whether they are to end."""
    match random.randrange(12):
        case 0 | 1:
            return ServiceMode(global_={})
        case 2 | 3:
            return job_mode(random)
        case 4:
            return ServiceMode(global_job={})
    return ServiceMode(replicated=ReplicatedMode(random.randrange(6)))


def job_mode(random: Random) -> ServiceMode:
    """Draw how often a job is to complete, and how often at once."""
    job = ReplicatedJobMode(max_concurrent=random.randrange(1, 4), total_completions=random.randrange(1, 6))
    return ServiceMode(replicated_job=job)


def image(random: Random, *, job: bool = False) -> str:
    """Draw what tasks run."""
    kinds = ("finishing", "finishing", "finishing", *FLEETING, "slow") if job else (*STEADY, *STEADY, *FLEETING)
    return f"{random.choice(kinds)}:{random.randrange(3)}"


def restart(random: Random, *, job: bool = False) -> RestartPolicy:
    """Draw when tasks are replaced."""
    condition = random.choice(("any", "any", "on-failure", "none"))
    # a job with the condition "none" is tried again at once: without a limit one instant would be full of it
    attempts = (1, 2) if job and condition == "none" else (0, 0, 2)
    return RestartPolicy(
        condition=condition,
        delay=random.choice((None, NANOSECONDS, 2 * NANOSECONDS)),
        max_attempts=random.choice(attempts),
        window=random.choice((None, None, 4 * NANOSECONDS, 20 * NANOSECONDS)),
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


def endpoint(random: Random, spec: ServiceSpec) -> EndpointSpec | None:
    """Draw how a service is reached."""
    published = ports(random)
    if spec.template.networks and random.randrange(4) == 0:
        return EndpointSpec(mode="dnsrr", ports=tuple(port for port in published if port.publish_mode == "host"))
    return EndpointSpec(ports=published) if published else None


def ports(random: Random) -> tuple[PortConfig, ...]:
    """Draw what a service publishes."""
    if random.random() >= PUBLISHED:
        return ()
    number, publish_mode = random.choice(((0, ""), (0, ""), (8080, "ingress"), (9000, "host"), (9001, "host")))
    return (PortConfig(target_port=80, published_port=number, publish_mode=publish_mode),)


def networks(random: Random, state: ClusterState) -> tuple[NetworkAttachment, ...]:
    """Draw the networks that tasks join."""
    known = [network for network in state.networks.values() if not network.spec.ingress]
    if not known or random.random() >= NETWORKED:
        return ()
    joined = random.sample(known, k=min(len(known), random.choice((1, 1, 2))))
    return tuple(NetworkAttachment(target=network.id) for network in joined)


def network(random: Random) -> NetworkSpec:
    """Draw a network, with a range of its own or one of the swarm's."""
    subnets = (random.choice(RANGES),) if random.randrange(2) else ()
    attachable = random.random() < ATTACHABLE
    return network_spec(f"net-{random.randrange(NETWORK_NAMES)}", subnets=subnets, attachable=attachable)


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
