"""Going back: what brings the services of a stack to what they were after one of its deployments, as one change.

Each service has its spec of then, by the rolling update that a rollback is. Services made since are removed, removed
ones are made again, and so are networks that are gone. Secrets and configs that are gone cannot be had again: nothing
is done then.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from skep.core.commands import CreateNetwork, CreateService, RemoveService, RollbackService, UpdateService
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.history.deployments import Deployment, ServiceThen
from skep.model.ids import ConfigId, NetworkId, SecretId, ServiceId
from skep.model.network import NetworkSpec
from skep.model.service import NetworkAttachment, Service, ServiceSpec
from skep.model.stack import stack_of
from skep.runtime.stack_changes import StackChange


def change_back(
    state: ClusterState,
    name: str,
    then: Deployment,
    networks: Mapping[NetworkId, NetworkSpec],
    *,
    draw_id: Callable[[], str],
) -> StackChange:
    """Return what brings the stack `name` back to what it was after `then`; `networks` are those that it ever made.

    Raises:
        Rejected: something that it needs is gone for good.
    """
    change = StackChange()
    present = {s.spec.name: s for s in state.services.values() if stack_of(s.spec.labels) == name}
    wanted = {one.spec.name: one for one in then.services}
    for service in present.values():
        if service.spec.name not in wanted:
            _remove(change, service)
            change.pruned.append(service.spec.name)
    moved = _networks(state, then, networks, change, draw_id)
    for one in then.services:
        _check_there(state, one.spec, then.number)
        spec = _on_networks(one.spec, moved)
        now = present.get(spec.name)
        if now is not None and now.spec == spec and now.credentials == one.credentials:
            change.unchanged.append(spec.name)
        elif now is None or now.spec.kind is not spec.kind:
            if now is not None:
                _remove(change, now)
            change.services.append(CreateService(ServiceId(draw_id()), spec))
            change.created.append(spec.name)
        else:
            change.services.append(_change(state, now, one, spec, then.number))
            change.updated.append(spec.name)
    return change


def _remove(change: StackChange, service: Service) -> None:
    change.removed.append(RemoveService(service.id))
    change.goes.append(service.id)


def _change(
    state: ClusterState, now: Service, then: ServiceThen, spec: ServiceSpec, number: int
) -> RollbackService | UpdateService:
    """Return what gives a service its spec of then: one that was removed since, or has other networks, is another."""
    if now.id != then.id or spec != then.spec or then.position not in state.spec_positions[now.id]:
        return UpdateService(now.id, now.version, spec)
    return RollbackService(
        now.id,
        now.version,
        message=f"manually requested rollback of the stack to deployment {number}",
        to=then.position,
        spec=spec,
        credentials=then.credentials,
    )


def _networks(
    state: ClusterState,
    then: Deployment,
    networks: Mapping[NetworkId, NetworkSpec],
    change: StackChange,
    draw_id: Callable[[], str],
) -> dict[str, NetworkId]:
    """Make networks again that are gone; return what is to be named instead of them."""
    moved: dict[str, NetworkId] = {}
    made: dict[str, NetworkId] = {}
    for one in then.services:
        for attachment in (*one.spec.template.networks, *one.spec.networks):
            target = attachment.target
            if target in moved or NetworkId(target) in state.networks:
                continue
            spec = networks.get(NetworkId(target))
            if spec is None:
                raise _gone(one.spec.name, "network", target, then.number)
            known = state.network_names.get(spec.name) or made.get(spec.name)
            if known is None:
                known = made[spec.name] = NetworkId(draw_id())
                change.made.append(CreateNetwork(known, spec))
            moved[target] = known
    return moved


def _on_networks(spec: ServiceSpec, moved: Mapping[str, NetworkId]) -> ServiceSpec:
    def renamed(attachments: tuple[NetworkAttachment, ...]) -> tuple[NetworkAttachment, ...]:
        return tuple(replace(one, target=moved.get(one.target, one.target)) for one in attachments)

    if not moved:
        return spec
    task = replace(spec.template, networks=renamed(spec.template.networks))
    return replace(spec, task_template=task, networks=renamed(spec.networks))


def _check_there(state: ClusterState, spec: ServiceSpec, number: int) -> None:
    for secret in spec.container.secrets:
        if SecretId(secret.secret_id) not in state.secrets:
            raise _gone(spec.name, "secret", secret.secret_name, number)
    for config in spec.container.configs:
        if ConfigId(config.config_id) not in state.configs:
            raise _gone(spec.name, "config", config.config_name, number)


def _gone(service: str, kind: str, name: str, number: int) -> Rejected:
    what = f"service {service} had {kind} {name}, which was removed since"
    return Rejected.precondition(f"the stack cannot go back to deployment {number}: {what}", bare=True)
