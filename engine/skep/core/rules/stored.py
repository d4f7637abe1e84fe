"""What a stored service spec gains over what was sent (FACTS, chapter 2).

Only what Swarm keeps as a value of its own is filled in. The defaults of people's commands (restart delay, grace
period, update monitor) are no part of a stored spec; those who need them know them.
"""

from msgspec.structs import replace

from skep.model.container import BindOptions, ContainerSpec, Mount
from skep.model.service import (
    EndpointSpec,
    PortConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)

_ISOLATIONS = ("default", "process", "hyperv")
_PROTOCOLS = ("tcp", "udp", "sctp")
_PUBLISH_MODES = ("ingress", "host")


def stored(spec: ServiceSpec) -> ServiceSpec:
    """Return `spec` as a swarm keeps it; it need not be valid, and what makes it invalid stays."""
    return replace(
        spec,
        labels=spec.labels or {},
        task_template=_task(spec.task_template) if spec.task_template else None,
        mode=_mode(spec.mode or ServiceMode()),
        update_config=_update(spec.update_config) if spec.update_config else None,
        rollback_config=_update(spec.rollback_config) if spec.rollback_config else None,
        endpoint_spec=_endpoint(spec.endpoint_spec) if spec.endpoint_spec else None,
    )


def _task(task: TaskSpec) -> TaskSpec:
    return replace(
        task,
        container_spec=_container(task.container_spec) if task.container_spec else None,
        restart_policy=_restart(task.restart_policy) if task.restart_policy else None,
        force_update=task.force_update or 0,
        runtime=task.runtime or "container",
    )


def _container(container: ContainerSpec) -> ContainerSpec:
    isolation = container.isolation.lower()
    return replace(
        container,
        # an unknown isolation is no error, and none at all (recorded)
        isolation=isolation if isolation in _ISOLATIONS else "default",
        mounts=tuple(_mount(mount) for mount in container.mounts),
    )


def _mount(mount: Mount) -> Mount:
    # Swarm has no consistency: no kernel on which tasks run knows of any (recorded)
    return replace(mount, type=mount.type.lower() or "bind", bind_options=_bind(mount.bind_options), consistency="")


def _bind(options: BindOptions | None) -> BindOptions | None:
    """Return what is kept of a bind's options: all that are said, and a propagation where any is (recorded)."""
    if options is None or options == BindOptions():
        return None
    return replace(options, propagation=options.propagation.lower() or "rprivate")


def _restart(policy: RestartPolicy) -> RestartPolicy:
    return replace(policy, condition=policy.condition or "any", max_attempts=policy.max_attempts or 0)


def _mode(mode: ServiceMode) -> ServiceMode:
    if mode.replicated is not None:
        return replace(mode, replicated=_said(mode.replicated))
    if mode.replicated_job is not None:
        job = mode.replicated_job
        total = 1 if job.total_completions is None else job.total_completions
        at_once = 1 if job.max_concurrent is None else job.max_concurrent
        return replace(mode, replicated_job=ReplicatedJobMode(max_concurrent=at_once, total_completions=total))
    if mode.global_ is not None or mode.global_job is not None:
        return mode
    return ServiceMode(replicated=ReplicatedMode(replicas=1))


def _said(mode: ReplicatedMode) -> ReplicatedMode:
    return ReplicatedMode(replicas=1 if mode.replicas is None else mode.replicas)


def _update(config: UpdateConfig) -> UpdateConfig:
    return replace(
        config,
        parallelism=config.parallelism or 0,
        failure_action=config.failure_action or "pause",
        max_failure_ratio=config.max_failure_ratio or 0.0,
        order=config.order or "stop-first",
    )


def _endpoint(endpoint: EndpointSpec) -> EndpointSpec:
    return EndpointSpec(mode=endpoint.mode or "vip", ports=tuple(_port(port) for port in endpoint.ports))


def _port(port: PortConfig) -> PortConfig:
    protocol, mode = port.protocol.lower(), port.publish_mode.lower()
    # unknown words are no error, and count as none (recorded)
    return replace(
        port,
        protocol=protocol if protocol in _PROTOCOLS else "tcp",
        publish_mode=mode if mode in _PUBLISH_MODES else "ingress",
    )
