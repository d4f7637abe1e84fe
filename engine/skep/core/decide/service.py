"""Decisions about services."""

from collections.abc import Iterable

from msgspec.structs import replace

from skep.core.address_index import wants_ingress
from skep.core.commands import (
    AllocateService,
    CreateService,
    EndRebalance,
    RebalanceService,
    RemoveService,
    ReportUpdate,
    RollbackService,
    UpdateService,
)
from skep.core.decide.versions import check_version
from skep.core.events import (
    Event,
    ServiceAllocated,
    ServiceCreated,
    ServiceRebalanceBegan,
    ServiceRebalanceEnded,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
)
from skep.core.lookup import find_network
from skep.core.outcomes import COMPLETED, PAUSED, ROLLED_BACK, SUPERSEDED, outcome_of
from skep.core.rejected import Code, Rejected
from skep.core.rules.service import check_service, needs_later, stored
from skep.core.state import ClusterState
from skep.model.container import ConfigReference, SecretReference
from skep.model.ids import ConfigId, Position, SecretId, ServiceId
from skep.model.secret import Sealed
from skep.model.service import NetworkAttachment, PortConfig, Service, ServiceSpec, TaskTemplate, UpdateStatus
from skep.model.states import GOING, Mode, UpdateState


def create_service(state: ClusterState, command: CreateService) -> tuple[Event, ...]:
    """Begin a service under a name that is free."""
    spec = as_kept(state, command.spec)
    _check(state, spec, None)
    if spec.name.lower() in state.service_names:
        raise Rejected(
            Code.ALREADY_EXISTS, f"name conflicts with an existing object: service {spec.name} already exists"
        )
    return (ServiceCreated(command.service_id, spec, command.credentials),)


def update_service(state: ClusterState, command: UpdateService) -> tuple[Event, ...]:
    """Give a service a new spec, even an equal one: that too makes a version, as on Swarm."""
    service = _known(state, command.service_id)
    credentials = _credentials(state, service, command)
    spec = as_kept(state, command.spec)
    _check(state, spec, service)
    check_version(service, command.version)
    if spec.name != service.spec.name:
        raise Rejected(Code.UNIMPLEMENTED, "renaming services is not supported")
    if spec.kind is not service.spec.kind:
        raise Rejected(Code.UNIMPLEMENTED, "service mode change is not allowed")
    outcome = outcome_of(state, service, SUPERSEDED, "a newer update of the service came before it was done")
    return (ServiceUpdated(service.id, spec, outcome, credentials),)


def _credentials(state: ClusterState, service: Service, command: UpdateService) -> Sealed | None:
    """Return the credentials that go with a new spec: what is sent again is what it was, though sealed anew."""
    sent = command.credentials
    if sent is not None:
        known = [service.credentials, service.previous_credentials]
        known += [template.credentials for template in state.templates[service.id].values()]
        return next((one for one in known if one is not None and one.mac == sent.mac), sent)
    if not command.previous_credentials:
        return service.credentials
    if service.previous_spec is None:
        raise Rejected.unknown("service does not have a previous spec", bare=True)
    return service.previous_credentials


def rollback_service(state: ClusterState, command: RollbackService) -> tuple[Event, ...]:
    """Go back to the spec before, or to an earlier one that the command brings along.

    By hand twice is a redo; after an automatic one there is nothing before (FACTS 5).
    """
    service = _known(state, command.service_id)
    check_version(service, command.version)
    spec, credentials, to = _earlier(state, service, command)
    _check_references(state, spec, service)
    before = service.update_status
    # one that an update turned into began with that update (recorded in scenario 43)
    began = before.started_at if command.automatic and before is not None else state.time
    status = UpdateStatus(UpdateState.ROLLBACK_STARTED, started_at=began, message=command.message)
    return (
        ServiceRolledBack(
            service_id=service.id,
            spec=spec,
            to=to,
            status=status,
            keep_previous=not command.automatic,
            outcome=outcome_of(state, service, ROLLED_BACK, command.message),
            credentials=credentials,
        ),
    )


def _earlier(
    state: ClusterState, service: Service, command: RollbackService
) -> tuple[ServiceSpec, Sealed | None, Position]:
    """Return the spec to go back to, its credentials, and the position that set it."""
    if command.spec is None:
        if service.previous_spec is None:
            raise Rejected.precondition(f"service {service.id} does not have a previous spec")
        return service.previous_spec, service.previous_credentials, service.previous_written
    if command.to not in state.spec_positions[service.id]:
        raise Rejected.invalid(f"service {service.spec.name} was not specified at position {command.to}")
    return command.spec, command.credentials, command.to


def can_roll_back(state: ClusterState, service: Service) -> bool:
    """Whether a service has a previous spec whose secrets and configs still exist and whose ports are free."""
    if service.previous_spec is None:
        return False
    try:
        _check_references(state, service.previous_spec, service)
    except Rejected:
        return False
    return True


def report_update(state: ClusterState, command: ReportUpdate) -> tuple[Event, ...]:
    """Note how an update stands, if that is new."""
    service = _known(state, command.service_id)
    if service.update_status == command.status:
        return ()
    how = COMPLETED if command.status.completed_at else PAUSED
    outcome = None if command.status.state in GOING else outcome_of(state, service, how, command.status.message)
    return (ServiceUpdateReported(service.id, command.status, outcome),)


def rebalance_service(state: ClusterState, command: RebalanceService) -> tuple[Event, ...]:
    """Spread a service anew, if it is one whose tasks the scheduler spreads."""
    service = _known(state, command.service_id)
    if service.spec.kind is not Mode.REPLICATED:
        raise Rejected.invalid(f"service {service.spec.name} is {service.spec.kind}: only replicated ones are spread")
    if command.budget < 1:
        raise Rejected.invalid(f"the budget of a rebalancing must be positive, not {command.budget}")
    if service.id in state.rebalances:
        raise Rejected.precondition(f"service {service.spec.name} is being rebalanced already")
    return (ServiceRebalanceBegan(service.id, command.budget),)


def end_rebalance(state: ClusterState, command: EndRebalance) -> tuple[Event, ...]:
    """Note that spreading a service anew ended."""
    if command.service_id not in state.rebalances:
        return ()
    return (ServiceRebalanceEnded(command.service_id, command.moved, command.why),)


def allocate_service(state: ClusterState, command: AllocateService) -> tuple[Event, ...]:
    """Give a service ports that nobody else has."""
    service = _known(state, command.service_id)
    for port in command.endpoint.ports:
        holder = state.ports.get((port.protocol, port.published_port), service.id)
        if port.publish_mode == "ingress" and holder != service.id:
            raise _port_in_use(state, port, holder, "an ingress port")
    if service.endpoint == command.endpoint:
        return ()
    return (ServiceAllocated(service.id, command.endpoint),)


def remove_service(state: ClusterState, command: RemoveService) -> tuple[Event, ...]:
    """End a service, and the update that it is in."""
    service = _known(state, command.service_id)
    outcome = outcome_of(state, service, SUPERSEDED, "the service was removed before it was done")
    return (ServiceRemoved(service.id, outcome),)


def _check(state: ClusterState, spec: ServiceSpec, service: Service | None) -> None:
    check_service(spec)
    needs_later(spec)
    _check_references(state, spec, service)


def _check_references(state: ClusterState, spec: ServiceSpec, service: Service | None) -> None:
    ports = spec.endpoint_spec.ports if spec.endpoint_spec else ()
    _check_ports(state, ports, service)
    _check_networks(state, TaskTemplate.of(spec))
    _check_ingress(state, ports)
    _check_secrets(state, spec.container.secrets)
    _check_configs(state, spec.container.configs)


def _check_ports(state: ClusterState, ports: Iterable[PortConfig], service: Service | None) -> None:
    """Reject an ingress port that another service publishes, in whatever mode, and a host's that is another's ingress.

    Services may publish the same port on their hosts: the scheduler keeps their tasks apart (FACTS, chapter 2).
    """
    own = service.id if service is not None else ServiceId("")
    for port in ports:
        if not port.published_port:
            continue
        key = port.protocol or "tcp", port.published_port
        holder = state.ports.get(key, own)
        if holder != own:
            raise _port_in_use(state, port, holder, "an ingress port")
        publishers = state.host_ports.get(key, {}) if port.publish_mode != "host" else {}
        for publisher in publishers:
            if publisher != own:
                raise _port_in_use(state, port, publisher, "a host-published port")


def _port_in_use(state: ClusterState, port: PortConfig, holder: ServiceId, mode: str) -> Rejected:
    name = state.services[holder].spec.name
    return Rejected.invalid(f"port '{port.published_port}' is already in use by service '{name}' ({holder}) as {mode}")


def as_kept(state: ClusterState, spec: ServiceSpec) -> ServiceSpec:
    """Return `spec` as a swarm keeps it: its networks are named by their ids (recorded)."""
    spec = stored(spec)
    task = spec.task_template
    if task is not None and task.networks:
        spec = replace(spec, task_template=replace(task, networks=_resolved(state, task.networks)))
    return replace(spec, networks=_resolved(state, spec.networks)) if spec.networks else spec


def _resolved(state: ClusterState, networks: tuple[NetworkAttachment, ...]) -> tuple[NetworkAttachment, ...]:
    try:
        return tuple(replace(one, target=find_network(state, one.target).id) for one in networks)
    except Rejected as rejected:
        if rejected.code is not Code.NOT_FOUND:
            raise
        # to Swarm's API this is no service that is not there, but one that cannot be (recorded: status 500)
        raise Rejected.unknown(str(rejected), bare=True) from None


def _check_networks(state: ClusterState, template: TaskTemplate) -> None:
    for one in template.networks:
        network = find_network(state, one.target)
        if network.spec.ingress:
            name = network.spec.name
            raise Rejected.invalid(f'Service cannot be explicitly attached to the ingress network "{name}"')


def _check_ingress(state: ClusterState, ports: tuple[PortConfig, ...]) -> None:
    needed = state.cluster is not None and state.cluster.routing_mesh and wants_ingress(ports)
    if needed and not state.ingress_id:
        raise Rejected.precondition("service needs ingress network, but no ingress network is present")


def _check_secrets(state: ClusterState, references: Iterable[SecretReference]) -> None:
    missing = [
        r.secret_name
        for r in references
        if r.secret_id not in state.secrets or state.secrets[SecretId(r.secret_id)].spec.name != r.secret_name
    ]
    if missing:
        raise Rejected.invalid(_not_found("secret", missing))


def _check_configs(state: ClusterState, references: Iterable[ConfigReference]) -> None:
    missing = [
        r.config_name
        for r in references
        if r.config_id not in state.configs or state.configs[ConfigId(r.config_id)].spec.name != r.config_name
    ]
    if missing:
        raise Rejected.invalid(_not_found("config", missing))


def _not_found(kind: str, names: list[str]) -> str:
    return f"{kind}{'s' if len(names) > 1 else ''} not found: {', '.join(names)}"


def _known(state: ClusterState, service_id: ServiceId) -> Service:
    service = state.services.get(service_id)
    if service is None:
        raise Rejected.not_found("service", service_id)
    return service
