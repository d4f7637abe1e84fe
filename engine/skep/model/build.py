"""Short ways to write a spec."""

from collections.abc import Mapping, Sequence

from skep.model.container import ConfigReference, ContainerSpec, Driver, FileTarget, SecretReference
from skep.model.network import Ipam, IpamConfig, NetworkSpec
from skep.model.secret import Config, Secret
from skep.model.service import (
    EndpointSpec,
    NetworkAttachment,
    PortConfig,
    ReplicatedMode,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)


def service_spec(
    name: str,
    image: str = "",
    *,
    args: Sequence[str] = (),
    replicas: int = 1,
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    secrets: Sequence[Secret] = (),
    configs: Sequence[Config] = (),
    ports: Sequence[PortConfig] = (),
    networks: Sequence[str] = (),
    restart: RestartPolicy | None = None,
    update: UpdateConfig | None = None,
) -> ServiceSpec:
    """Return the spec of a replicated service. Without an image, `args` is the command and names it.

    `networks` are names or ids.
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
    )
    return ServiceSpec(
        name=name,
        labels=dict(labels or {}),
        task_template=TaskSpec(
            container_spec=container,
            restart_policy=restart,
            networks=tuple(NetworkAttachment(target=network) for network in networks),
        ),
        mode=ServiceMode(replicated=ReplicatedMode(replicas)),
        update_config=update,
        endpoint_spec=EndpointSpec(ports=tuple(ports)) if ports else None,
    )


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
