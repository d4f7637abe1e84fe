"""Rules of a service's spec: the whole of it, in the order in which a swarm looks.

First what the Engine API cannot translate (answered bare), then what Swarm refuses. Names taken, ports held and
references that must exist are `decide`'s.
"""

from skep.core.constraints import parse_all
from skep.core.rejected import Rejected
from skep.core.rules.container import check_container, check_references, check_words
from skep.core.rules.later import needs_later
from skep.core.rules.names import check_dns_name
from skep.core.rules.stored import stored
from skep.model.ids import NANOSECONDS
from skep.model.service import EndpointSpec, Limits, Reservations, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig

__all__ = ["check_service", "check_translation", "needs_later", "stored"]

#: The least that a task may ask for: billionths of a CPU, and bytes.
NANO_CPUS_MIN = 1_000_000
MEMORY_MIN = 4 * 1024 * 1024

#: The largest count that Swarm holds; above it a count is taken for a negative one.
COUNT_MAX = 2**63 - 1

_CONDITIONS = ("", "none", "on-failure", "any")
_FAILURE_ACTIONS = ("", "pause", "continue", "rollback")
_ORDERS = ("", "stop-first", "start-first")
_RESOLUTION_MODES = ("", "vip", "dnsrr")


def check_service(spec: ServiceSpec) -> None:
    """Reject a spec that a swarm refuses, in its words; it may be as sent or as `stored`."""
    check_translation(spec)
    check_dns_name(spec.name)
    _check_task(spec.template)
    _check_mode(spec)
    if spec.update_config is not None:
        _check_update(spec.update_config)
    if spec.endpoint_spec is not None:
        _check_endpoint(spec.endpoint_spec)


def check_translation(spec: ServiceSpec) -> None:
    """Reject what the Engine API cannot translate: nobody else hears of it, whatever was to be done with it."""
    task = spec.template
    _check_runtime(task)
    if task.restart_policy is not None and task.restart_policy.condition not in _CONDITIONS:
        raise Rejected.invalid(f'invalid RestartCondition: "{task.restart_policy.condition}"', bare=True)
    for config in (spec.update_config, spec.rollback_config):
        if config is None:
            continue
        if config.failure_action not in _FAILURE_ACTIONS:
            raise Rejected.invalid(f"unrecognized update failure action {config.failure_action}", bare=True)
        if config.order not in _ORDERS:
            raise Rejected.invalid(f"unrecognized update order {config.order}", bare=True)
    if spec.endpoint_spec is not None and spec.endpoint_spec.mode not in _RESOLUTION_MODES:
        raise Rejected.invalid(f'invalid resolution mode: "{spec.endpoint_spec.mode}"', bare=True)
    if spec.mode is not None and _modes(spec.mode) > 1:
        raise Rejected.invalid("must specify only one service mode", bare=True)


def _check_runtime(task: TaskSpec) -> None:
    if task.runtime in ("", "container"):
        if task.container_spec is None:
            raise Rejected.invalid("mismatched Runtime and *Spec fields", bare=True)
        check_words(task.container_spec)
    elif task.runtime != "plugin":
        raise Rejected.invalid("unsupported runtime", bare=True)
    elif task.plugin_spec is None:
        raise Rejected.invalid("mismatched Runtime and *Spec fields", bare=True)


def _modes(mode: ServiceMode) -> int:
    return sum(m is not None for m in (mode.replicated, mode.global_, mode.replicated_job, mode.global_job))


def _check_task(task: TaskSpec) -> None:
    if task.resources is not None:
        for resources in (task.resources.limits, task.resources.reservations):
            if resources is not None:
                _check_resources(resources)
    if task.restart_policy is not None:
        if (task.restart_policy.delay or 0) < 0:
            raise Rejected.invalid("TaskSpec: restart-delay cannot be negative")
        if (task.restart_policy.window or 0) < 0:
            raise Rejected.invalid("TaskSpec: restart-window cannot be negative")
    if task.placement is not None:
        parse_all(task.placement.constraints)
    if task.container_spec is not None:
        check_references(task.container_spec)
        check_container(task.container_spec)


def _check_resources(resources: Limits | Reservations) -> None:
    if resources.nano_cpus and resources.nano_cpus < NANO_CPUS_MIN:
        cpus = f"{resources.nano_cpus / NANOSECONDS!r}".removesuffix(".0")
        raise Rejected.invalid(f"invalid cpu value {cpus}: Must be at least 0.001")
    if resources.memory_bytes and resources.memory_bytes < MEMORY_MIN:
        raise Rejected.invalid(f"invalid memory value {resources.memory_bytes}: Must be at least 4MiB")


def _check_mode(spec: ServiceSpec) -> None:
    mode = spec.mode
    if mode is None:
        return
    if mode.replicated is not None and _negative(mode.replicated.replicas):
        raise Rejected.invalid("Number of replicas must be non-negative")
    if mode.replicated_job is not None:
        if _negative(mode.replicated_job.max_concurrent):
            raise Rejected.invalid("Maximum concurrent jobs must not be negative")
        if _negative(mode.replicated_job.total_completions):
            raise Rejected.invalid("Total completed jobs must not be negative")
    if (mode.replicated_job is not None or mode.global_job is not None) and spec.update_config is not None:
        raise Rejected.invalid("Jobs may not have an update config")


def _negative(count: int | None) -> bool:
    return count is not None and not 0 <= count <= COUNT_MAX


def _check_update(config: UpdateConfig) -> None:
    if config.delay < 0:
        raise Rejected.invalid("TaskSpec: update-delay cannot be negative")
    if config.monitor < 0:
        raise Rejected.invalid("TaskSpec: update-monitor cannot be negative")
    if not 0 <= (config.max_failure_ratio or 0.0) <= 1:
        raise Rejected.invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")


def _check_endpoint(endpoint: EndpointSpec) -> None:
    held: dict[tuple[str, int], None] = {}
    for port in endpoint.ports:
        if endpoint.mode == "dnsrr" and port.publish_mode in ("", "ingress"):
            raise Rejected.invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
        if not port.published_port:
            continue
        key = port.protocol or "tcp", port.published_port
        if key in held:
            raise Rejected.invalid("EndpointSpec: duplicate published ports provided")
        held[key] = None
