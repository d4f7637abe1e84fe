"""The container of a task, with all that a spec says of it. Templates stay: dockerd expands them."""

from google.protobuf.wrappers_pb2 import BoolValue
from skep.model.container import ConfigReference, ContainerSpec, DnsConfig, FileTarget, HealthConfig, SecretReference
from skep.ports.link import RegistryAuth

from skep_adapters.swarmkit.instants import duration
from skep_adapters.swarmkit.numbers import int32, int64, uint32
from skep_adapters.swarmkit.render_mount import render_mount
from skep_adapters.swarmkit.render_privileges import render_privileges
from skep_adapters.swarmkit.wire import specs_pb2, types_pb2

_ISOLATIONS = {"process": "ISOLATION_PROCESS", "hyperv": "ISOLATION_HYPERV"}


def render_container(container: ContainerSpec, *, pids: int = 0) -> specs_pb2.ContainerSpec:
    """Return the container; `pids` is the most processes that it may have, which the API calls a resource."""
    dns, grace, init = container.dns_config, container.stop_grace_period, container.init
    healthcheck, privileges = container.healthcheck, container.privileges
    return specs_pb2.ContainerSpec(
        image=container.image,
        labels=container.labels,
        command=container.command,
        args=container.args,
        env=container.env,
        dir=container.dir,
        user=container.user,
        groups=container.groups,
        hostname=container.hostname,
        hosts=container.hosts,
        dns_config=_dns(dns) if dns is not None else None,
        tty=container.tty,
        open_stdin=container.open_stdin,
        read_only=container.read_only,
        init=BoolValue(value=init) if init is not None else None,
        stop_signal=container.stop_signal,
        stop_grace_period=duration(grace) if grace is not None else None,
        healthcheck=_health(healthcheck) if healthcheck is not None else None,
        mounts=[render_mount(mount) for mount in container.mounts],
        secrets=[_secret(reference) for reference in container.secrets],
        configs=[_config(reference) for reference in container.configs],
        privileges=render_privileges(privileges) if privileges is not None else None,
        isolation=_ISOLATIONS.get(container.isolation.lower(), "ISOLATION_DEFAULT"),
        sysctls=container.sysctls,
        capability_add=container.capability_add,
        capability_drop=container.capability_drop,
        ulimits=[
            specs_pb2.ContainerSpec.Ulimit(name=one.name, soft=int64(one.soft), hard=int64(one.hard))
            for one in container.ulimits
        ],
        oom_score_adj=int64(container.oom_score_adj),
        pidsLimit=int64(pids),
    )


def render_pull(auth: RegistryAuth) -> specs_pb2.ContainerSpec.PullOptions:
    """Return how the image is pulled, with credentials in plain: never to be logged."""
    return specs_pb2.ContainerSpec.PullOptions(registry_auth=auth.encoded)


def _dns(dns: DnsConfig) -> specs_pb2.ContainerSpec.DNSConfig:
    return specs_pb2.ContainerSpec.DNSConfig(nameservers=dns.nameservers, search=dns.search, options=dns.options)


def _health(health: HealthConfig) -> types_pb2.HealthConfig:
    """Return a health check, with every duration: engines read them without asking whether they are there."""
    return types_pb2.HealthConfig(
        test=health.test,
        interval=duration(health.interval),
        timeout=duration(health.timeout),
        retries=int32(health.retries),
        start_period=duration(health.start_period),
        start_interval=duration(health.start_interval),
    )


def _secret(reference: SecretReference) -> types_pb2.SecretReference:
    file = reference.file
    return types_pb2.SecretReference(
        secret_id=reference.secret_id,
        secret_name=reference.secret_name,
        file=_file(file) if file is not None else None,
    )


def _config(reference: ConfigReference) -> types_pb2.ConfigReference:
    file = reference.file
    return types_pb2.ConfigReference(
        config_id=reference.config_id,
        config_name=reference.config_name,
        file=_file(file) if file is not None else None,
        runtime=types_pb2.RuntimeTarget() if reference.runtime is not None and file is None else None,
    )


def _file(file: FileTarget) -> types_pb2.FileTarget:
    """Return where a file appears; an owner that was not said is root, since dockerd takes no empty number."""
    return types_pb2.FileTarget(name=file.name, uid=file.uid or "0", gid=file.gid or "0", mode=uint32(file.mode))
