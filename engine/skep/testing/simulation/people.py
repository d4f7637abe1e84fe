"""What people ask of services, drawn from the state as it is; what they ask of all else is in `operators`."""

from collections.abc import Callable

from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateService,
    RebalanceService,
    RemoveService,
    RollbackService,
    UpdateService,
)
from skep.core.state import ClusterState
from skep.model.ids import Position, ServiceId
from skep.model.service import ReplicatedMode, Service, ServiceMode, ServiceSpec
from skep.model.states import GOING, Mode
from skep.testing.simulation import places, specs
from skep.testing.simulation.desk import ASKS, Desk, asked

#: More services than this are not asked for: a story is about what happens to them.
SERVICES_MAX = 6

#: What people bear in mind of a service: fewer are gone back to.
SPECS_MIN = 3


def ask(desk: Desk) -> Command:
    """Return what somebody wants now, of services or of all else."""
    while True:
        command = desk.random.choice(ASKS)(desk)
        if command is not None:
            return command


@asked(8)
def create_service(desk: Desk) -> Command | None:
    """Begin a service."""
    if len(desk.state.services) >= SERVICES_MAX:
        return None
    return CreateService(ServiceId(desk.ids.new()), specs.of_service(desk.random, desk.state))


@asked(6)
def scale(desk: Desk) -> Command | None:
    """Want more tasks, or fewer; of a job that is another run."""
    service = _one_of(desk, Mode.REPLICATED, Mode.REPLICATED_JOB)
    if service is None:
        return None
    if service.spec.kind.is_job:
        return _updated(service, replace(service.spec, mode=specs.job_mode(desk.random)))
    mode = ServiceMode(replicated=ReplicatedMode(desk.random.randrange(7)))
    return _updated(service, replace(service.spec, mode=mode))


@asked(7)
def change_image(desk: Desk) -> Command | None:
    """Want other tasks."""
    service = desk.pick(desk.state.services)
    if service is None:
        return None
    image = specs.image(desk.random, job=service.spec.kind.is_job)
    return _updated(service, specs.with_container(service.spec, image=image))


@asked(3)
def change_image_amid_update(desk: Desk) -> Command | None:
    """Want other tasks while an update is under way."""
    going = [s for s in desk.state.services.values() if s.update_status and s.update_status.state in GOING]
    if not going:
        return None
    service, image = desk.random.choice(going), specs.image(desk.random)
    return _updated(service, specs.with_container(service.spec, image=image))


@asked(1)
def force_update(desk: Desk) -> Command | None:
    """Want the same tasks anew."""
    return _update(desk, _forced)


@asked(2)
def run_again(desk: Desk) -> Command | None:
    """Want a job to be run again, done or not."""
    service = _one_of(desk, Mode.REPLICATED_JOB, Mode.GLOBAL_JOB)
    return _updated(service, _forced(service.spec)) if service else None


def _forced(spec: ServiceSpec) -> ServiceSpec:
    return specs.with_template(spec, force_update=(spec.template.force_update or 0) + 1)


@asked(2)
def change_rollout(desk: Desk) -> Command | None:
    """Want updates and rollbacks to go otherwise."""
    service = _one_of(desk, Mode.REPLICATED, Mode.GLOBAL)
    if service is None:
        return None
    update, back = specs.rollout(desk.random), specs.rollout(desk.random)
    return _updated(service, replace(service.spec, update_config=update, rollback_config=back))


@asked(2)
def constrain(desk: Desk) -> Command | None:
    """Want tasks on other nodes."""
    placement = places.placement(desk.random)
    return _update(desk, lambda spec: specs.with_template(spec, placement=placement))


@asked(1)
def reserve(desk: Desk) -> Command | None:
    """Want other things of nodes to be kept for tasks."""
    resources = places.reservations(desk.random)
    return _update(desk, lambda spec: specs.with_template(spec, resources=resources))


@asked(2)
def give_secrets(desk: Desk) -> Command | None:
    """Want tasks to have other secrets and configs."""
    secrets, configs = specs.secrets(desk.random, desk.state), specs.configs(desk.random, desk.state)
    return _update(desk, lambda spec: specs.with_container(spec, secrets=secrets, configs=configs))


@asked(1)
def publish(desk: Desk) -> Command | None:
    """Want other ports, or another way of being reached."""
    return _update(desk, lambda spec: replace(spec, endpoint_spec=specs.endpoint(desk.random, spec)))


@asked(1)
def join_networks(desk: Desk) -> Command | None:
    """Want tasks to be on other networks."""
    networks = specs.networks(desk.random, desk.state)
    return _update(desk, lambda spec: specs.with_template(spec, networks=networks))


@asked(4)
def roll_back(desk: Desk) -> Command | None:
    """Want the spec before."""
    service = desk.pick(desk.state.services)
    return RollbackService(service.id, service.version) if service else None


@asked(2)
def go_back(desk: Desk) -> Command | None:
    """Want the spec of long ago."""
    service = desk.pick(desk.state.services)
    if service is None:
        return None
    known = desk.specs.get(service.id, {})
    then = [at for at in desk.state.spec_positions[service.id] if at in known]
    if len(then) < SPECS_MIN:
        return None
    to = desk.random.choice(then)
    return RollbackService(service.id, service.version, to=to, spec=known[to])


@asked(4)
def rebalance(desk: Desk) -> Command | None:
    """Want the tasks of a service to be spread anew; one that is spread unevenly, if there is one."""
    spread = {s.id: s for s in desk.state.services.values() if s.spec.kind is Mode.REPLICATED}
    uneven = {service_id: service for service_id, service in spread.items() if _is_uneven(desk.state, service_id)}
    service = desk.pick(uneven or spread)
    return RebalanceService(service.id, desk.random.randrange(1, 4)) if service else None


def _is_uneven(state: ClusterState, service_id: ServiceId) -> bool:
    index = state.service_tasks.get(service_id)
    counts = [index.on_node.get(node.id, 0) for node in state.nodes.values() if node.schedulable] if index else []
    return bool(counts) and max(counts) - min(counts) > 1


@asked(1)
def update_stale(desk: Desk) -> Command | None:
    """Want something of a service that has changed meanwhile."""
    service = desk.pick(desk.state.services)
    return UpdateService(service.id, Position(service.written - 1), service.spec) if service else None


@asked(3)
def remove_service(desk: Desk) -> Command | None:
    """Want a service to end."""
    service = desk.pick(desk.state.services)
    return RemoveService(service.id) if service else None


# --- what they ask with


def _one_of(desk: Desk, *kinds: Mode) -> Service | None:
    return desk.pick({s.id: s for s in desk.state.services.values() if s.spec.kind in kinds})


def _update(desk: Desk, change: Callable[[ServiceSpec], ServiceSpec]) -> Command | None:
    service = desk.pick(desk.state.services)
    return _updated(service, change(service.spec)) if service else None


def _updated(service: Service, spec: ServiceSpec) -> Command:
    return UpdateService(service.id, service.version, spec)
