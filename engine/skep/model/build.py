"""Short ways to write a spec."""

from collections.abc import Mapping, Sequence

from skep.model.container import ConfigReference, ContainerSpec, Driver, FileTarget, HealthConfig, SecretReference
from skep.model.ids import NANOSECONDS
from skep.model.network import Ipam, IpamConfig, NetworkSpec
from skep.model.secret import Config, Secret
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
from skep.model.states import Mode


def service_spec(
    name: str,
    image: str = "",
    *,
    args: Sequence[str] = (),
    mode: Mode | str = Mode.REPLICATED,
    replicas: int = 1,
    max_concurrent: int | None = None,
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    secrets: Sequence[Secret] = (),
    configs: Sequence[Config] = (),
    ports: Sequence[PortConfig] = (),
    networks: Sequence[str] = (),
    restart: RestartPolicy | None = None,
    update: UpdateConfig | None = None,
    healthcheck: HealthConfig | None = None,
    stop_grace_s: float | None = None,
) -> ServiceSpec:
    """Return the spec of a service. Without an image, `args` is the command and names it.

    Modes are docker's: `replicas` counts the tasks of a replicated service, and how often a replicated job is to
    complete, `max_concurrent` at once (None: all). The global modes have one task on each node, whatever it says.
    `networks` are names or ids. `stop_grace_s` is what a task has between its stop signal and its end.
    """
    container = ContainerSpec(
        image=image or (args[0] if args else ""),
        args=tuple(args),
        env=tuple(f"{key}={value}" for key, value in (env or {}).items()),
        secrets=tuple(SecretReference(FileTarget(s.spec.name, "0", "0", 0o400), s.id, s.spec.name) for s in secrets),
        configs=tuple(
            ConfigReference(FileTarget(c.spec.name, "0", "0", 0o400), config_id=c.id, config_name=c.spec.name)
            for c in configs
        ),
        healthcheck=healthcheck,
        stop_grace_period=None if stop_grace_s is None else round(stop_grace_s * NANOSECONDS),
    )
    return ServiceSpec(
        name=name,
        labels=dict(labels or {}),
        task_template=TaskSpec(
            container_spec=container,
            restart_policy=restart,
            networks=tuple(NetworkAttachment(target=network) for network in networks),
        ),
        mode=_mode(Mode(mode), replicas, max_concurrent),
        update_config=update,
        endpoint_spec=EndpointSpec(ports=tuple(ports)) if ports else None,
    )


def _mode(mode: Mode, replicas: int, max_concurrent: int | None) -> ServiceMode:
    match mode:
        case Mode.REPLICATED:
            return ServiceMode(replicated=ReplicatedMode(replicas))
        case Mode.GLOBAL:
            return ServiceMode(global_={})
        case Mode.GLOBAL_JOB:
            return ServiceMode(global_job={})
        case Mode.REPLICATED_JOB:
            at_once = replicas if max_concurrent is None else max_concurrent
            return ServiceMode(replicated_job=ReplicatedJobMode(max_concurrent=at_once, total_completions=replicas))


def network_spec(
    name: str,
    *,
    subnets: Sequence[str] = (),
    attachable: bool = False,
    internal: bool = False,
    labels: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> NetworkSpec:
    """Return the spec of an overlay network; without `subnets` (in CIDR) it is given one of the swarm's."""
    return NetworkSpec(
        name=name,
        labels=dict(labels or {}),
        driver=Driver("overlay", dict(options or {})),
        internal=internal,
        attachable=attachable,
        ipam=Ipam(driver=Driver("default"), configs=tuple(IpamConfig(subnet=subnet) for subnet in subnets)),
    )
