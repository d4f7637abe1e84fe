"""What a stack's file asks of the cluster as it is: the commands that make it so, all of them one change.

First services that are to go, then networks, secrets and configs, then services: each finds what it needs. What is so
already is left alone. A job is always run again, as by Docker's client.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateConfig,
    CreateNetwork,
    CreateSecret,
    CreateService,
    RemoveService,
    UpdateConfigObject,
    UpdateService,
)
from skep.core.decide.service import as_kept
from skep.core.rejected import Rejected
from skep.core.rules.network import LOCAL_NAMES
from skep.core.rules.secret import check_config, check_secret
from skep.core.state import ClusterState
from skep.model.container import ConfigReference, ContainerSpec, SecretReference
from skep.model.ids import ConfigId, NetworkId, SecretId, ServiceId
from skep.model.secret import ConfigSpec, Secret
from skep.model.service import Service, ServiceSpec
from skep.model.stack import IMAGE_LABEL, StackSecret, StackSpec, stack_of
from skep.model.states import UpdateState

#: Updates that only a new one brings to go on.
_STUCK = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)


class StackChange(Struct):
    """Commands for a stack, in their order, and what is left to be sealed or compared before they are sent.

    `secrets` are new: their commands lack what is sealed. `kept` are there already, and may not have other data.
    `goes` are services whose keys end with them.
    """

    removed: list[Command] = []
    made: list[Command] = []
    services: list[Command] = []
    secrets: dict[SecretId, StackSecret] = {}
    kept: list[tuple[Secret, StackSecret]] = []
    goes: list[ServiceId] = []
    created: list[str] = []
    updated: list[str] = []
    pruned: list[str] = []
    unchanged: list[str] = []


def change_for(state: ClusterState, stack: StackSpec, *, draw_id: Callable[[], str], prune: bool) -> StackChange:
    """Return what makes `stack` of `state`.

    Raises:
        Rejected: it needs what is not there, or is there already and another's.
    """
    change = StackChange()
    _check_labels(stack)
    _check_once("secret", [one.spec.name for one in stack.secrets])
    _check_once("config", [one.name for one in stack.configs])
    present = {s.spec.name: s for s in state.services.values() if stack_of(s.spec.labels) == stack.name}
    for service in present.values() if prune else ():
        if not any(spec.name == service.spec.name for spec in stack.services):
            change.removed.append(RemoveService(service.id))
            change.goes.append(service.id)
            change.pruned.append(service.spec.name)
    _networks(state, stack, change, draw_id)
    secret_ids = _secrets(state, stack, change, draw_id)
    config_ids = _configs(state, stack, change, draw_id)
    for spec in stack.services:
        wanted = _referring(spec, secret_ids, config_ids)
        known = present.get(spec.name)
        if known is None:
            change.services.append(CreateService(ServiceId(draw_id()), wanted))
            change.created.append(spec.name)
            continue
        wanted = _as_before(wanted, known)
        if _is_so(state, known, wanted):
            change.unchanged.append(spec.name)
            continue
        change.services.append(UpdateService(known.id, known.version, wanted))
        change.updated.append(spec.name)
    return change


def _check_labels(stack: StackSpec) -> None:
    """Reject what does not bear the stack's label: the stack would not know it again."""
    labels = [(one.name, one.labels) for one in stack.services]
    labels += [(one.name, one.labels) for one in stack.networks]
    labels += [(one.spec.name, one.spec.labels) for one in stack.secrets]
    labels += [(one.name, one.labels) for one in stack.configs]
    for name, borne in labels:
        if stack_of(borne) != stack.name:
            raise Rejected.invalid(f"{name} does not bear the label of stack {stack.name}", bare=True)


def _check_once(kind: str, names: list[str]) -> None:
    """Reject two of a name: the second would be neither new nor there already."""
    seen: dict[str, None] = {}
    for name in names:
        if name in seen:
            raise Rejected.invalid(f"{kind} {name} stands twice in the stack", bare=True)
        seen[name] = None


def _networks(state: ClusterState, stack: StackSpec, change: StackChange, draw_id: Callable[[], str]) -> None:
    for name in stack.external_networks:
        if name not in LOCAL_NAMES and name not in state.network_names:
            what = f"network {name} of stack {stack.name} is external, and is not there: create it first"
            raise Rejected.precondition(what, bare=True)
    for spec in stack.networks:
        known = state.network_names.get(spec.name)
        if known is None or stack_of(state.networks[known].spec.labels) != stack.name:
            change.made.append(CreateNetwork(NetworkId(draw_id()), spec))


def _secrets(
    state: ClusterState, stack: StackSpec, change: StackChange, draw_id: Callable[[], str]
) -> dict[str, SecretId]:
    ids = dict(state.secret_names)
    for one in stack.secrets:
        known = ids.get(one.spec.name)
        if known is not None:
            change.kept.append((state.secrets[known], one))
            continue
        check_secret(one.spec, len(one.data))
        secret_id = ids[one.spec.name] = SecretId(draw_id())
        change.secrets[secret_id] = one
        change.made.append(CreateSecret(secret_id, one.spec, None, len(one.data)))
    return ids


def _configs(
    state: ClusterState, stack: StackSpec, change: StackChange, draw_id: Callable[[], str]
) -> dict[str, ConfigId]:
    ids = dict(state.config_names)
    for spec in stack.configs:
        known = ids.get(spec.name)
        if known is None:
            check_config(spec)
            config_id = ids[spec.name] = ConfigId(draw_id())
            change.made.append(CreateConfig(config_id, spec))
            continue
        config = state.configs[known]
        check_same("config", spec.name, same=config.spec.data == spec.data)
        if config.spec != _labelled(config.spec, spec):
            change.made.append(UpdateConfigObject(known, config.version, spec))
    return ids


def check_same(kind: str, name: str, *, same: bool) -> None:
    """Reject data that is not what a secret or config has: it never changes."""
    if not same:
        what = f"{kind} {name} is there with other data, which cannot be changed: give the new one another name"
        raise Rejected.invalid(what, bare=True)


def _labelled(present: ConfigSpec, spec: ConfigSpec) -> ConfigSpec:
    return replace(present, labels=spec.labels or {})


def _referring(spec: ServiceSpec, secret_ids: dict[str, SecretId], config_ids: dict[str, ConfigId]) -> ServiceSpec:
    """Return `spec` with the ids of the secrets and configs that it names."""
    task = spec.task_template
    if task is None or task.container_spec is None:
        return spec
    container = task.container_spec

    def secret(reference: SecretReference) -> SecretReference:
        known = secret_ids.get(reference.secret_name)
        if known is None:
            raise Rejected.invalid(f"service {spec.name}: secret not found: {reference.secret_name}", bare=True)
        return replace(reference, secret_id=known)

    def config(reference: ConfigReference) -> ConfigReference:
        known = config_ids.get(reference.config_name)
        if known is None:
            raise Rejected.invalid(f"service {spec.name}: config not found: {reference.config_name}", bare=True)
        return replace(reference, config_id=known)

    container = replace(
        container,
        secrets=tuple(map(secret, container.secrets)),
        configs=tuple(map(config, container.configs)),
    )
    return replace(spec, task_template=replace(task, container_spec=_credentialed(container, config_ids)))


def _credentialed(container: ContainerSpec, config_ids: dict[str, ConfigId]) -> ContainerSpec:
    """Return `container` with the id of the config that holds its credential spec, if one does."""
    privileges = container.privileges
    credential = privileges.credential_spec if privileges is not None else None
    if privileges is None or credential is None or not credential.config:
        return container
    known = config_ids.get(credential.config, ConfigId(credential.config))
    return replace(container, privileges=replace(privileges, credential_spec=replace(credential, config=known)))


def _as_before(spec: ServiceSpec, service: Service) -> ServiceSpec:
    """Return `spec` with what no file says: how often it was forced, and the digest that its image was given."""
    task, before = spec.template, service.spec
    container = spec.container
    said = (spec.labels or {}).get(IMAGE_LABEL)
    if "@" not in container.image and said is not None and (before.labels or {}).get(IMAGE_LABEL) == said:
        container = replace(container, image=before.container.image)
    return replace(
        spec,
        task_template=replace(task, container_spec=container, force_update=before.template.force_update),
    )


def _is_so(state: ClusterState, service: Service, wanted: ServiceSpec) -> bool:
    """Whether a service has this spec already, and nothing is to be run again."""
    status = service.update_status
    if service.spec.kind.is_job or (status is not None and status.state in _STUCK):
        return False
    try:
        return as_kept(state, wanted) == service.spec
    except Rejected:
        return False  # it is on a network that is yet to be made
