"""Services as the API shows them, and what `insertDefaults` puts where nothing was said."""

from collections.abc import Callable
from typing import Any

from msgspec import structs
from skep.core.tally import Tally
from skep.model.container import DnsConfig
from skep.model.service import (
    Placement,
    ResourceRequirements,
    RestartPolicy,
    Service,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
    UpdateStatus,
    VirtualIp,
)

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339

_SECOND = 1_000_000_000
_GRACE_PERIOD = 10 * _SECOND
_RESTART_DELAY = 5 * _SECOND
_MONITOR = 5 * _SECOND
_RESTART = RestartPolicy(condition="any", delay=_RESTART_DELAY, max_attempts=0)
_UPDATE = UpdateConfig(
    parallelism=1, failure_action="pause", monitor=_MONITOR, max_failure_ratio=0.0, order="stop-first"
)


def render_service(
    service: Service,
    *,
    counted: Tally | None = None,
    defaults: bool = False,
    write: Callable[[ServiceSpec], Any] = render,
) -> dict[str, Any]:
    """Return a service; with its tally where the request asks for it. `write` makes JSON's own types of its specs."""
    document: dict[str, Any] = {
        "ID": service.id,
        "Version": {"Index": service.version},
        "CreatedAt": rfc3339(service.created_at),
        "UpdatedAt": rfc3339(service.updated_at),
        "Spec": render(with_defaults(service.spec)) if defaults else write(service.spec),
    }
    if service.previous_spec is not None:
        document["PreviousSpec"] = write(service.previous_spec)
    document["Endpoint"] = _endpoint(service)
    if service.update_status is not None:
        document["UpdateStatus"] = _update_status(service.update_status)
    if counted is not None:
        document["ServiceStatus"] = {
            "RunningTasks": counted.running,
            "DesiredTasks": counted.desired,
            "CompletedTasks": counted.completed,
        }
    if service.job is not None:
        document["JobStatus"] = {
            "JobIteration": render_iteration(service.job.iteration),
            "LastExecution": rfc3339(service.job.executed_at),
        }
    return document


def render_iteration(iteration: int) -> dict[str, Any]:
    """Return which run of a job it is; the first is 0, which is left out (recorded)."""
    return {"Index": iteration} if iteration else {}


def with_defaults(spec: ServiceSpec) -> ServiceSpec:
    """Return `spec` with Swarm's defaults where it says nothing."""
    return structs.replace(
        spec,
        task_template=_task_defaults(spec.template),
        update_config=_update_defaults(spec.update_config),
        rollback_config=_update_defaults(spec.rollback_config),
    )


def _task_defaults(task: TaskSpec) -> TaskSpec:
    container = task.container_spec
    if container is not None:
        container = structs.replace(
            container,
            stop_grace_period=_GRACE_PERIOD if container.stop_grace_period is None else container.stop_grace_period,
            dns_config=container.dns_config or DnsConfig(),
        )
    restart = task.restart_policy or _RESTART
    return structs.replace(
        task,
        container_spec=container,
        resources=task.resources or ResourceRequirements(),
        restart_policy=structs.replace(restart, delay=_RESTART_DELAY if restart.delay is None else restart.delay),
        placement=task.placement or Placement(),
    )


def _update_defaults(config: UpdateConfig | None) -> UpdateConfig:
    return structs.replace(config, monitor=config.monitor or _MONITOR) if config is not None else _UPDATE


def _endpoint(service: Service) -> dict[str, Any]:
    """Return what was allocated; what was asked for is repeated only where something was (recorded)."""
    given = service.endpoint
    if given is None:
        return {"Spec": {}}
    document: dict[str, Any] = {"Spec": render(service.spec.endpoint_spec) or {}}
    if given.ports:
        document["Ports"] = render(given.ports)
    if given.virtual_ips:
        document["VirtualIPs"] = [_virtual_ip(ip) for ip in given.virtual_ips]
    return document


def _virtual_ip(ip: VirtualIp) -> dict[str, Any]:
    """Return a VIP; on a network of each node's own it has no address (recorded in scenario 15)."""
    return {"NetworkID": ip.network_id} | ({"Addr": ip.addr} if ip.addr else {})


def _update_status(status: UpdateStatus) -> dict[str, Any]:
    document: dict[str, Any] = {"State": status.state.value}
    if status.started_at:
        document["StartedAt"] = rfc3339(status.started_at)
    if status.completed_at:
        document["CompletedAt"] = rfc3339(status.completed_at)
    document["Message"] = status.message
    return document
