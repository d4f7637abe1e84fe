"""What a template gives its tasks. Tasks share it: whoever sends many keeps what this returns."""

from skep.model.service import NetworkAttachment, Placement, RestartPolicy, TaskTemplate

from skep_adapters.swarmkit.instants import duration
from skep_adapters.swarmkit.numbers import uint64
from skep_adapters.swarmkit.render_container import render_container
from skep_adapters.swarmkit.render_driver import render_driver
from skep_adapters.swarmkit.render_resources import render_requirements
from skep_adapters.swarmkit.wire import specs_pb2, types_pb2

_CONDITIONS = {"none": "NONE", "on-failure": "ON_FAILURE"}


def render_spec(template: TaskTemplate) -> specs_pb2.TaskSpec:
    """Return the spec of a template's tasks: a container's, or that of a container that joins networks.

    Of any other runtime nothing is sent, and the engine answers that it has none.
    """
    spec = template.spec
    resources, restart, placement = spec.resources, spec.restart_policy, spec.placement
    rendered = specs_pb2.TaskSpec(
        resources=render_requirements(resources) if resources is not None else None,
        restart=_restart(restart) if restart is not None else None,
        placement=_placement(placement) if placement is not None else None,
        log_driver=render_driver(spec.log_driver),
        networks=[_network(network) for network in template.networks or spec.networks],
        force_update=uint64(spec.force_update or 0),
    )
    if spec.network_attachment_spec is not None:
        rendered.attachment.container_id = str(spec.network_attachment_spec.get("ContainerID", ""))
    elif spec.container_spec is not None and spec.runtime in ("", "container"):
        pids = resources.limits.pids if resources is not None and resources.limits is not None else 0
        rendered.container.CopyFrom(render_container(spec.container_spec, pids=pids))
    return rendered


def _restart(policy: RestartPolicy) -> types_pb2.RestartPolicy:
    return types_pb2.RestartPolicy(
        condition=_CONDITIONS.get(policy.condition, "ANY"),
        delay=duration(policy.delay) if policy.delay is not None else None,
        max_attempts=uint64(policy.max_attempts or 0),
        window=duration(policy.window) if policy.window is not None else None,
    )


def _placement(placement: Placement) -> types_pb2.Placement:
    spreads = [one.spread.spread_descriptor for one in placement.preferences if one.spread is not None]
    return types_pb2.Placement(
        constraints=placement.constraints,
        preferences=[
            types_pb2.PlacementPreference(spread=types_pb2.SpreadOver(spread_descriptor=spread)) for spread in spreads
        ],
        platforms=[types_pb2.Platform(architecture=one.architecture, os=one.os) for one in placement.platforms],
        max_replicas=uint64(placement.max_replicas),
    )


def _network(network: NetworkAttachment) -> types_pb2.NetworkAttachmentConfig:
    return types_pb2.NetworkAttachmentConfig(
        target=network.target, aliases=network.aliases, driver_attachment_opts=network.driver_opts
    )
