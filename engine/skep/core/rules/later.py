"""What Swarm takes and this version of skep does not run yet: refused by name, rather than ignored.

The answers are skep's own, bare, with code UNIMPLEMENTED (501).
"""

from skep.core.rejected import Rejected
from skep.model.service import EndpointSpec, Reservations, ServiceSpec


def needs_later(spec: ServiceSpec) -> None:
    """Reject what this version does not run, naming field and value."""
    _check_mode(spec)
    task = spec.template
    if spec.endpoint_spec is not None:
        _check_endpoint(spec.endpoint_spec)
    if task.placement is not None and task.placement.preferences:
        spread = task.placement.preferences[0].spread
        raise _later("placement preferences", "Placement.Preferences", spread.spread_descriptor if spread else "")
    if task.resources is not None and task.resources.reservations is not None:
        _check_reservations(task.resources.reservations)
    restart = task.restart_policy
    if restart is not None and restart.window and restart.max_attempts:
        raise _later("restart windows", "RestartPolicy.Window", restart.window)
    if task.runtime not in ("", "container"):
        raise _later("tasks that are no containers", "TaskTemplate.Runtime", task.runtime)


def _check_mode(spec: ServiceSpec) -> None:
    mode = spec.mode
    if mode is None:
        return
    if mode.global_ is not None:
        raise _later("global services", "Mode", "Global")
    if mode.replicated_job is not None or mode.global_job is not None:
        raise _later("jobs", "Mode", "ReplicatedJob" if mode.global_job is None else "GlobalJob")


def _check_reservations(wanted: Reservations) -> None:
    if wanted.nano_cpus:
        raise _later("reservations", "Resources.Reservations.NanoCPUs", wanted.nano_cpus)
    if wanted.memory_bytes:
        raise _later("reservations", "Resources.Reservations.MemoryBytes", wanted.memory_bytes)
    if wanted.generic_resources:
        raise _later("generic resources", "Resources.Reservations.GenericResources", _named(wanted))


def _check_endpoint(endpoint: EndpointSpec) -> None:
    for port in endpoint.ports:
        if port.publish_mode == "host":
            raise _later("ports of the host", "EndpointSpec.Ports.PublishMode", f"host ({port.target_port})")


def _named(wanted: Reservations) -> str:
    kinds = [
        part.kind
        for one in wanted.generic_resources
        for part in (one.named_resource_spec, one.discrete_resource_spec)
        if part is not None
    ]
    return ",".join(kinds)


def _later(what: str, field: str, value: object) -> Rejected:
    return Rejected.unimplemented(
        f"{what} are not there yet: this version of skep does not run {field}={value}", bare=True
    )
