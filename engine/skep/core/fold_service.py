"""How the events of services change the state."""

from msgspec.structs import replace

from skep.core import address_index, stack_index
from skep.core.differences import differences
from skep.core.events import (
    ServiceAllocated,
    ServiceCreated,
    ServiceRebalanceBegan,
    ServiceRebalanceEnded,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
)
from skep.core.fold_network import move_cursors
from skep.core.indexes import Topic
from skep.core.policy import rollout_of
from skep.core.progress import Rebalance, UpdateProgress
from skep.core.seat_index import judge_seats
from skep.core.service_index import disuse, free_ports, hold_ports, use
from skep.core.state import FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT, ClusterState
from skep.model.ids import START, Position, ServiceId
from skep.model.secret import Sealed
from skep.model.service import JobStatus, Outcome, Service, ServiceSpec, TaskTemplate
from skep.model.states import GOING, UpdateState

#: How an outcome calls the credentials of a registry: as Swarm does in its own specs, where they are a part.
CREDENTIALS = "TaskTemplate.ContainerSpec.PullOptions"

#: So many outcomes of updates are kept for each service; the log has them all.
OUTCOMES_MAX = 10


def service_created(state: ClusterState, event: ServiceCreated) -> None:
    """Begin a service."""
    service_id, spec = event.service_id, event.spec
    template = TaskTemplate.of(spec, 0 if spec.kind.is_job else None, event.credentials)
    state.templates[service_id] = {state.position: template}
    state.services[service_id] = Service(
        id=service_id,
        spec=spec,
        version=state.position,
        written=state.position,
        spec_version=state.position,
        created_at=state.time,
        updated_at=state.time,
        credentials=event.credentials,
        job=JobStatus(0, state.time) if spec.kind.is_job else None,
    )
    state.spec_positions[service_id] = [state.position]
    stack_index.note(state, spec.labels)
    if spec.kind.per_node:
        state.node_services[service_id] = None
    state.service_names[spec.name.lower()] = service_id
    use(state, service_id, spec)
    hold_ports(state, state.services[service_id])
    address_index.judge_service(state, service_id)
    state.touched.keys[Topic.SERVICE, service_id] = None


def service_updated(state: ClusterState, event: ServiceUpdated) -> None:
    """Give a service its new spec; its status of the update before is over."""
    service = state.services[event.service_id]
    state.services[event.service_id] = replace(
        _respecified(state, service, event.spec, event.credentials),
        previous_spec=service.spec,
        previous_written=service.written,
        previous_credentials=service.credentials,
        update_status=None,
    )
    address_index.judge_service(state, event.service_id)
    _end_update(state, event.service_id, event.outcome)
    _judge_doubled(state, event.service_id)


def service_rolled_back(state: ClusterState, event: ServiceRolledBack) -> None:
    """Give a service an earlier spec again."""
    service = state.services[event.service_id]
    state.services[event.service_id] = replace(
        _respecified(state, service, event.spec, event.credentials),
        previous_spec=service.spec if event.keep_previous else None,
        previous_written=service.written if event.keep_previous else START,
        previous_credentials=service.credentials if event.keep_previous else None,
        update_status=event.status,
    )
    address_index.judge_service(state, event.service_id)
    _end_update(state, event.service_id, event.outcome)
    _judge_doubled(state, event.service_id)
    if not service.spec.kind.is_job:
        _begin_update(state, state.services[event.service_id], service.spec, service.credentials)


def service_update_reported(state: ClusterState, event: ServiceUpdateReported) -> None:
    """Take how an update stands; its beginning and its end begin and end what is known of its progress."""
    service = state.services[event.service_id]
    reported = replace(service, update_status=event.status, version=state.position, updated_at=state.time)
    state.services[event.service_id] = reported
    _judge_doubled(state, event.service_id)
    if event.status.state not in GOING:
        _end_update(state, service.id, event.outcome)
    elif service.id not in state.updates:
        _begin_update(state, reported, service.previous_spec, service.previous_credentials)
    state.touched.keys[Topic.SERVICE, service.id] = None


def service_rebalance_began(state: ClusterState, event: ServiceRebalanceBegan) -> None:
    """Spread a service anew, from now on."""
    state.rebalances[event.service_id] = Rebalance(state.position, event.budget)
    state.touched.keys[Topic.SERVICE, event.service_id] = None


def service_rebalance_ended(state: ClusterState, event: ServiceRebalanceEnded) -> None:
    """Spread it no more."""
    del state.rebalances[event.service_id]
    state.touched.keys[Topic.SERVICE, event.service_id] = None


def _judge_doubled(state: ClusterState, service_id: ServiceId) -> None:
    """Look again at seats with several tasks: which of them stop first is the spec's to say, and the update's."""
    index = state.service_tasks.get(service_id)
    if index is not None and index.doubled:
        judge_seats(state, service_id)


def _begin_update(state: ClusterState, service: Service, before: ServiceSpec | None, had: Sealed | None) -> None:
    """Begin to note how an update goes, from the spec `before`, which had the credentials `had`."""
    status = service.update_status
    rollback = status is not None and status.state is UpdateState.ROLLBACK_STARTED
    rollout = rollout_of(service.spec, rollback=rollback)
    changed = differences(before, service.spec) if before is not None else ()
    if before is not None and had != service.credentials:
        changed = (*changed, CREDENTIALS)
    index = state.service_tasks.get(service.id)
    seats = len(index.stale) if index is not None else 0
    if service.spec.replicas is not None:
        seats = min(seats, service.spec.replicas)  # what is too many is not updated
    state.updates[service.id] = UpdateProgress(
        state.position, rollout.delay, changed, monitor=rollout.monitor, seats=seats
    )


def _end_update(state: ClusterState, service_id: ServiceId, outcome: Outcome | None) -> None:
    state.updates.pop(service_id, None)
    if outcome is not None:
        state.outcomes[service_id] = (*state.outcomes.get(service_id, ()), outcome)[-OUTCOMES_MAX:]


def service_allocated(state: ClusterState, event: ServiceAllocated) -> None:
    """Give a service its ports, and free those that it no longer has."""
    service = state.services[event.service_id]
    free_ports(state, service)
    address_index.free_vips(state, service)
    for port in event.endpoint.ports:
        chosen = port.publish_mode == "ingress" and _is_dynamic(port.published_port, port.target_port, service)
        if chosen and port.published_port >= state.next_port:
            state.next_port = port.published_port + 1
            if state.next_port > LAST_DYNAMIC_PORT:
                state.next_port = FIRST_DYNAMIC_PORT
    allocated = replace(service, endpoint=event.endpoint, version=state.position, updated_at=state.time)
    state.services[event.service_id] = allocated
    hold_ports(state, allocated)
    address_index.hold_vips(state, allocated)
    had = service.endpoint.virtual_ips if service.endpoint else ()
    move_cursors(state, [vip for vip in event.endpoint.virtual_ips if vip not in had])
    address_index.judge_service(state, event.service_id)
    address_index.wake(state)
    state.touched.keys[Topic.SERVICE, event.service_id] = None


def service_removed(state: ClusterState, event: ServiceRemoved) -> None:
    """End a service; its templates live until its tasks are gone."""
    service = state.services.pop(event.service_id)
    del state.service_names[service.spec.name.lower()]
    free_ports(state, service)
    address_index.free_vips(state, service)
    state.unallocated.pop(service.id, None)
    address_index.wake(state)
    disuse(state, service.id, service.spec)
    index = state.service_tasks.get(service.id)
    templates = state.templates[service.id]
    if index is None or service.spec_version not in index.spec_refs:
        del templates[service.spec_version]
        if not templates:
            del state.templates[service.id]
    if templates and service.spec.labels:
        state.departed[service.id] = service.spec.labels
    for table in (state.given_up, state.restarts, state.updates, state.outcomes, state.rebalances, state.failures):
        table.pop(service.id, None)
    del state.spec_positions[service.id]
    stack_index.note(state, service.spec.labels)
    state.node_services.pop(service.id, None)
    judge_seats(state, service.id)
    state.touched.keys[Topic.SERVICE, service.id] = None


def _is_dynamic(published: int, target: int, service: Service) -> bool:
    """Whether the allocator chose the number, rather than the spec."""
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    return not any(p.published_port == published and p.target_port == target for p in asked)


def _respecified(state: ClusterState, service: Service, spec: ServiceSpec, credentials: Sealed | None) -> Service:
    """Return `service` with `spec`; its tasks keep their template if the new spec gives them an equal one."""
    templates = state.templates[service.id]
    job = JobStatus(service.job.iteration + 1, state.time) if service.job is not None else None
    template = TaskTemplate.of(spec, job.iteration if job else None, credentials)
    # going back finds the template that tasks of then still bear, so that those are left alone
    spec_version = next((p for p in reversed(templates) if templates[p] == template), Position(0))
    if not spec_version:
        spec_version = state.position
        templates[spec_version] = template
    if spec_version != service.spec_version:
        index = state.service_tasks.get(service.id)
        if index is None or service.spec_version not in index.spec_refs:
            del templates[service.spec_version]
    disuse(state, service.id, service.spec)
    use(state, service.id, spec)
    free_ports(state, service)
    respecified = replace(
        service,
        spec=spec,
        spec_version=spec_version,
        version=state.position,
        written=state.position,
        updated_at=state.time,
        credentials=credentials,
        job=job,
    )
    state.spec_positions[service.id].append(state.position)
    stack_index.note(state, service.spec.labels, spec.labels)
    hold_ports(state, respecified)
    if spec_version != service.spec_version:
        state.services[service.id] = respecified
        state.restarts.pop(service.id, None)
        if job is not None:
            state.given_up.pop(service.id, None)  # a new run tries all slots
        judge_seats(state, service.id)
    state.touched.keys[Topic.SERVICE, service.id] = None
    return respecified
