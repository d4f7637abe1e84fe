"""Services' specs by the version of the API that a client speaks: what that does not have is not read (recorded).

A client that is older sends such a field only by accident: it cannot mean it, and could not change it. From which
version a field is there stands in Docker's history of its API.
"""

from collections.abc import Callable

from msgspec.structs import replace
from skep.model.container import ContainerSpec, Privileges
from skep.model.service import ServiceSpec

from skep_adapters.docker_api.api_versions import before


def as_spoken(spec: ServiceSpec, version: str) -> ServiceSpec:
    """Return a spec without the fields that are newer than a version of the API."""
    for since, without in _SINCE:
        if before(version, since):
            spec = without(spec)
    return spec


def _without_1_40(spec: ServiceSpec) -> ServiceSpec:
    placement = spec.template.placement
    if placement is not None:
        placement = replace(placement, max_replicas=0)
    return _changed(spec, _container_without_1_40, placement=placement)


def _container_without_1_40(container: ContainerSpec) -> ContainerSpec:
    privileges = container.privileges
    if privileges is not None and privileges.credential_spec is not None:
        privileges = replace(privileges, credential_spec=replace(privileges.credential_spec, config=""))
    configs = tuple(replace(one, runtime=None) for one in container.configs)
    return replace(container, sysctls={}, privileges=privileges, configs=configs)


def _without_1_41(spec: ServiceSpec) -> ServiceSpec:
    resources, mode = spec.template.resources, spec.mode
    if resources is not None and resources.limits is not None:
        resources = replace(resources, limits=replace(resources.limits, pids=0))
    if mode is not None:
        # a job becomes what a service without a mode is (recorded)
        mode = replace(mode, replicated_job=None, global_job=None)
    return replace(_changed(spec, _container_without_1_41, resources=resources), mode=mode)


def _container_without_1_41(container: ContainerSpec) -> ContainerSpec:
    return replace(container, capability_add=(), capability_drop=(), ulimits=())


def _without_1_44(spec: ServiceSpec) -> ServiceSpec:
    return _changed(spec, _container_without_1_44)


def _container_without_1_44(container: ContainerSpec) -> ContainerSpec:
    privileges, health = container.privileges, container.healthcheck
    if privileges is not None:
        privileges = Privileges(privileges.credential_spec, privileges.se_linux_context)
    if health is not None:
        health = replace(health, start_interval=0)
    return replace(container, privileges=privileges, healthcheck=health)


def _without_1_46(spec: ServiceSpec) -> ServiceSpec:
    return _changed(spec, _container_without_1_46)


def _container_without_1_46(container: ContainerSpec) -> ContainerSpec:
    mounts = tuple(
        replace(one, tmpfs_options=replace(one.tmpfs_options, options=())) if one.tmpfs_options is not None else one
        for one in container.mounts
    )
    return replace(container, mounts=mounts, oom_score_adj=0)


def _without_1_52(spec: ServiceSpec) -> ServiceSpec:
    resources = spec.template.resources
    if resources is not None:
        resources = replace(resources, swap_bytes=None, memory_swappiness=None)
    return _changed(spec, lambda container: container, resources=resources)


def _changed(spec: ServiceSpec, without: Callable[[ContainerSpec], ContainerSpec], **parts: object) -> ServiceSpec:
    """Return a spec with other parts of its task, if it has one, and another container, if it has one."""
    task = spec.task_template
    if task is None:
        return spec
    container = task.container_spec and without(task.container_spec)
    return replace(spec, task_template=replace(task, container_spec=container, **parts))


#: From which version on fields are there, and what a spec is without them.
_SINCE: tuple[tuple[str, Callable[[ServiceSpec], ServiceSpec]], ...] = (
    ("1.40", _without_1_40),
    ("1.41", _without_1_41),
    ("1.44", _without_1_44),
    ("1.46", _without_1_46),
    ("1.52", _without_1_52),
)
