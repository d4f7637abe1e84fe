"""The services of a stack, as the engine has them."""

import re
from collections.abc import Mapping
from typing import Any

from skep.model.container import Driver
from skep.model.service import (
    DiscreteResource,
    EndpointSpec,
    GenericResource,
    Limits,
    NetworkAttachment,
    Placement,
    PlacementPreference,
    PortConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    SpreadOver,
    TaskSpec,
    UpdateConfig,
)
from skep.model.stack import IMAGE_LABEL

from skep_adapters.compose.containers import container_of
from skep_adapters.compose.naming import labelled, scoped
from skep_adapters.compose.place import Place

#: What a service is on that names no network.
DEFAULT = "default"

#: Networks that every engine has of its own; on these nothing has another name.
_PREDEFINED = ("default", "bridge", "host", "none")

_RESTART = re.compile(r"(?P<name>no|always|unless-stopped|on-failure)?(?::(?P<tries>[0-9]{1,9}))?")


def service_of(stack: str, name: str, said: Mapping[str, Any], file: Mapping[str, Any], place: Place) -> ServiceSpec:
    """Return the spec of a service, which names its networks."""
    deploy = said.get("deploy", {})
    if not said.get("image"):
        place.refuse("needs an image")
    logging = said.get("logging")
    return ServiceSpec(
        name=scoped(stack, name),
        labels={**labelled(stack, deploy.get("labels")), IMAGE_LABEL: said["image"]},
        task_template=TaskSpec(
            container_spec=container_of(stack, said, file, place),
            resources=_resources(deploy.get("resources", {})),
            restart_policy=_restart(said, deploy, place),
            placement=_placement(deploy.get("placement", {})),
            networks=_networks(stack, name, said, file, place.at("networks")),
            log_driver=Driver(logging.get("driver", ""), _options(logging)) if logging is not None else None,
        ),
        mode=_mode(deploy, place.at("deploy")),
        update_config=_update(deploy["update_config"]) if "update_config" in deploy else None,
        rollback_config=_update(deploy["rollback_config"]) if "rollback_config" in deploy else None,
        endpoint_spec=EndpointSpec(deploy.get("endpoint_mode", "").lower(), _ports(said.get("ports", ()))),
    )


def networks_used(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the networks that services are on, by their names in the file, in order."""
    return sorted({name for said in services.values() for name in said.get("networks") or (DEFAULT,)})


def _options(logging: Mapping[str, Any]) -> dict[str, str]:
    return {name: value or "" for name, value in logging.get("options", {}).items()}


def _networks(
    stack: str, service: str, said: Mapping[str, Any], file: Mapping[str, Any], place: Place
) -> tuple[NetworkAttachment, ...]:
    attachments = []
    for name, one in (said.get("networks") or {DEFAULT: {}}).items():
        network = file.get("networks", {}).get(name)
        if network is None and name != DEFAULT:
            place.refuse(f"network {name!r} is not among the file's networks")
        target = scoped(stack, name, network)
        aliases = tuple(one.get("aliases", ()))
        if target not in _PREDEFINED and not target.startswith("container:"):
            aliases = (*aliases, service)
        attachments.append(NetworkAttachment(target, aliases, one.get("driver_opts", {})))
    return tuple(sorted(attachments, key=lambda attachment: attachment.target))


def _ports(said: list[dict[str, Any]]) -> tuple[PortConfig, ...]:
    ports = [
        PortConfig(
            protocol=one.get("protocol", ""),
            target_port=one.get("target", 0),
            published_port=one.get("published", 0),
            publish_mode=one.get("mode", ""),
        )
        for one in said
    ]
    return tuple(sorted(ports, key=lambda port: port.published_port))


def _mode(deploy: Mapping[str, Any], place: Place) -> ServiceMode:
    replicas = deploy.get("replicas")
    mode = deploy.get("mode") or "replicated"
    if mode in ("global", "global-job") and replicas is not None:
        place.at("replicas").refuse(f"belong to the modes replicated and replicated-job, not to {mode}")
    if mode == "replicated":
        return ServiceMode(replicated=ReplicatedMode(replicas))
    if mode == "replicated-job":
        return ServiceMode(replicated_job=ReplicatedJobMode(max_concurrent=replicas, total_completions=replicas))
    if mode == "global":
        return ServiceMode(global_={})
    if mode == "global-job":
        return ServiceMode(global_job={})
    return place.at("mode").refuse_value(mode, "replicated, global, replicated-job or global-job")


def _resources(said: Mapping[str, Any]) -> ResourceRequirements:
    limits, reservations = said.get("limits"), said.get("reservations")
    return ResourceRequirements(
        limits=Limits(limits.get("cpus", 0), limits.get("memory", 0), limits.get("pids", 0))
        if limits is not None
        else None,
        reservations=Reservations(
            reservations.get("cpus", 0),
            reservations.get("memory", 0),
            tuple(_generic(one) for one in reservations.get("generic_resources", ())),
        )
        if reservations is not None
        else None,
    )


def _generic(said: Mapping[str, Any]) -> GenericResource:
    spec = said.get("discrete_resource_spec")
    if spec is None:
        return GenericResource()
    return GenericResource(discrete_resource_spec=DiscreteResource(spec.get("kind", ""), spec.get("value", 0)))


def _restart(said: Mapping[str, Any], deploy: Mapping[str, Any], place: Place) -> RestartPolicy | None:
    """Return the restart policy: that of `deploy`, or what the older `restart` comes to."""
    policy = deploy.get("restart_policy")
    if policy is not None:
        return RestartPolicy(
            policy.get("condition", ""), policy.get("delay"), policy.get("max_attempts"), policy.get("window")
        )
    found = _RESTART.fullmatch(said.get("restart", ""))
    if found is None:
        place.at("restart").refuse_value(said["restart"], "no, always, unless-stopped, on-failure or on-failure:TRIES")
    if found["name"] in (None, "no"):
        return None
    condition = "on-failure" if found["name"] == "on-failure" else "any"
    return RestartPolicy(condition, max_attempts=int(found["tries"] or 0) or None)


def _placement(said: Mapping[str, Any]) -> Placement:
    return Placement(
        constraints=tuple(said.get("constraints", ())),
        preferences=tuple(
            PlacementPreference(SpreadOver(one.get("spread", ""))) for one in said.get("preferences", ())
        ),
        max_replicas=said.get("max_replicas_per_node", 0),
    )


def _update(said: Mapping[str, Any]) -> UpdateConfig:
    return UpdateConfig(
        parallelism=said.get("parallelism", 1),
        delay=said.get("delay", 0),
        failure_action=said.get("failure_action", ""),
        monitor=said.get("monitor", 0),
        max_failure_ratio=said.get("max_failure_ratio", 0.0),
        order=said.get("order", ""),
    )
