"""What people ask of the swarm, drawn from the state as it is.

A kind of request is one function here: it returns a command, or None where there is nothing of which to ask it.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateConfig,
    CreateSecret,
    CreateService,
    JoinNodes,
    RemoveConfig,
    RemoveNode,
    RemoveSecret,
    RemoveService,
    RollbackService,
    UpdateConfigObject,
    UpdateNode,
    UpdateSecret,
    UpdateService,
    UpdateSwarm,
)
from skep.core.state import ClusterState
from skep.model.ids import ConfigId, Position, SecretId, ServiceId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import (
    EndpointSpec,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
)
from skep.model.states import Availability, NodeState, Role, UpdateState
from skep.model.swarm import OrchestrationConfig
from skep.ports.clock import Ids
from skep.testing.simulation import specs
from skep.testing.simulation.machine import Machine

T = TypeVar("T")

#: More services than this are not asked for: a story is about what happens to them.
SERVICES_MAX = 6

#: Fewer nodes, and more, are not asked for.
NODES_MIN = 4
NODES_MAX = 8


class Request(Struct):
    """Something asked, and what was answered: the position, if it was acknowledged; and how often that was."""

    id: str
    command: Command
    acknowledged: Position | None = None
    times: int = 0


class Desk(Struct):
    """What a person has before them: what they draw, and the state that they see."""

    random: Random
    state: ClusterState
    ids: Ids
    new_machine: Callable[[], Machine]

    def pick(self, table: Mapping[Any, T]) -> T | None:
        """Draw one of a table."""
        return self.random.choice(list(table.values())) if table else None

    def likely(self, chance: float) -> bool:
        """Whether something that happens so often happens now."""
        return self.random.random() < chance


Ask = Callable[[Desk], Command | None]

#: The kinds of requests, each as often as it is asked.
ASKS: list[Ask] = []


def asked(times: int) -> Callable[[Ask], Ask]:
    """Have people ask this, so many times as often as what is asked once."""

    def add(ask: Ask) -> Ask:
        ASKS.extend([ask] * times)
        return ask

    return add


def ask(desk: Desk) -> Command:
    """Return what somebody wants now."""
    while True:
        command = desk.random.choice(ASKS)(desk)
        if command is not None:
            return command


# --- services


@asked(8)
def create_service(desk: Desk) -> Command | None:
    """Begin a service."""
    if len(desk.state.services) >= SERVICES_MAX:
        return None
    return CreateService(ServiceId(desk.ids.new()), specs.of_service(desk.random, desk.state))


@asked(6)
def scale(desk: Desk) -> Command | None:
    """Want more tasks, or fewer."""
    mode = ServiceMode(replicated=ReplicatedMode(desk.random.randrange(7)))
    return _update(desk, lambda spec: replace(spec, mode=mode))


@asked(7)
def change_image(desk: Desk) -> Command | None:
    """Want other tasks."""
    image = specs.image(desk.random)
    return _update(desk, lambda spec: specs.with_container(spec, image=image))


@asked(3)
def change_image_amid_update(desk: Desk) -> Command | None:
    """Want other tasks while an update is under way."""
    going = [s for s in desk.state.services.values() if s.update_status and s.update_status.state in _GOING]
    if not going:
        return None
    service, image = desk.random.choice(going), specs.image(desk.random)
    return UpdateService(service.id, service.version, specs.with_container(service.spec, image=image))


@asked(1)
def force_update(desk: Desk) -> Command | None:
    """Want the same tasks anew."""
    return _update(desk, lambda spec: specs.with_template(spec, force_update=(spec.template.force_update or 0) + 1))


@asked(2)
def change_rollout(desk: Desk) -> Command | None:
    """Want updates and rollbacks to go otherwise."""
    update, back = specs.rollout(desk.random), specs.rollout(desk.random)
    return _update(desk, lambda spec: replace(spec, update_config=update, rollback_config=back))


@asked(2)
def constrain(desk: Desk) -> Command | None:
    """Want tasks on other nodes."""
    placement = specs.placement(desk.random)
    return _update(desk, lambda spec: specs.with_template(spec, placement=placement))


@asked(2)
def give_secrets(desk: Desk) -> Command | None:
    """Want tasks to have other secrets and configs."""
    secrets, configs = specs.secrets(desk.random, desk.state), specs.configs(desk.random, desk.state)
    return _update(desk, lambda spec: specs.with_container(spec, secrets=secrets, configs=configs))


@asked(1)
def publish(desk: Desk) -> Command | None:
    """Want other ports."""
    endpoint = EndpointSpec(ports=specs.ports(desk.random))
    return _update(desk, lambda spec: replace(spec, endpoint_spec=endpoint))


@asked(4)
def roll_back(desk: Desk) -> Command | None:
    """Want the spec before."""
    service = desk.pick(desk.state.services)
    return RollbackService(service.id, service.version) if service else None


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


# --- nodes


@asked(4)
def change_availability(desk: Desk) -> Command | None:
    """Want a node to take tasks, or none, or to give up those that it has."""
    active = desk.likely(0.6)
    availability = Availability.ACTIVE if active else desk.random.choice((Availability.PAUSE, Availability.DRAIN))
    return _update_node(desk, availability=availability)


@asked(2)
def label_node(desk: Desk) -> Command | None:
    """Want a node to be known as something else."""
    return _update_node(desk, labels=specs.labels(desk.random))


@asked(2)
def remove_node(desk: Desk) -> Command | None:
    """Want a node to be no member any more: one that is down if there is one, and else by force, or in vain."""
    workers = [node for node in desk.state.nodes.values() if node.manager is None]
    if len(workers) < NODES_MIN:
        return None
    down = [node for node in workers if node.status.state is NodeState.DOWN]
    node = desk.random.choice(down or workers)
    return RemoveNode(node.id, force=not down and desk.likely(0.5))


@asked(2)
def join_node(desk: Desk) -> Command | None:
    """Want another node."""
    return join(desk) if len(desk.state.nodes) < NODES_MAX else None


def join(desk: Desk) -> Command:
    """Return the command by which a new machine becomes a member."""
    machine = desk.new_machine()
    spec = NodeSpec(labels=specs.labels(desk.random), role=Role.WORKER, availability=Availability.ACTIVE)
    return JoinNodes((machine.node_id,), (spec,), (NodeDescription(hostname=machine.name),), ("",), (None,))


# --- secrets, configs, the swarm


@asked(3)
def create_secret(desk: Desk) -> Command | None:
    """Begin a secret; its data is sealed on the way."""
    return CreateSecret(SecretId(desk.ids.new()), SecretSpec(name=f"secret-{desk.random.randrange(5)}"))


@asked(1)
def label_secret(desk: Desk) -> Command | None:
    """Give a secret another label."""
    secret = desk.pick(desk.state.secrets)
    return UpdateSecret(secret.id, secret.version, replace(secret.spec, labels={"a": "b"})) if secret else None


@asked(2)
def remove_secret(desk: Desk) -> Command | None:
    """Want a secret to be forgotten."""
    secret = desk.pick(desk.state.secrets)
    return RemoveSecret(secret.id) if secret else None


@asked(2)
def create_config(desk: Desk) -> Command | None:
    """Begin a config."""
    spec = ConfigSpec(name=f"config-{desk.random.randrange(4)}", data=desk.random.randbytes(8))
    return CreateConfig(ConfigId(desk.ids.new()), spec)


@asked(1)
def label_config(desk: Desk) -> Command | None:
    """Give a config another label."""
    config = desk.pick(desk.state.configs)
    return UpdateConfigObject(config.id, config.version, replace(config.spec, labels={"a": "b"})) if config else None


@asked(1)
def remove_config(desk: Desk) -> Command | None:
    """Want a config to be gone."""
    config = desk.pick(desk.state.configs)
    return RemoveConfig(config.id) if config else None


@asked(1)
def limit_history(desk: Desk) -> Command | None:
    """Want more, or fewer, tasks of a slot to be kept."""
    cluster = desk.state.cluster
    if cluster is None:
        return None
    kept = OrchestrationConfig(task_history_retention_limit=desk.random.choice((0, 1, 2, 5)))
    return UpdateSwarm(cluster.version, replace(cluster.spec, orchestration=kept))


# --- what they ask with

_GOING = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)


def _update(desk: Desk, change: Callable[[ServiceSpec], ServiceSpec]) -> Command | None:
    service: Service | None = desk.pick(desk.state.services)
    return UpdateService(service.id, service.version, change(service.spec)) if service else None


def _update_node(
    desk: Desk, *, availability: Availability | None = None, labels: dict[str, str] | None = None
) -> Command | None:
    node = desk.pick(desk.state.nodes)
    if node is None:
        return None
    spec = replace(
        node.spec,
        availability=availability or node.spec.availability,
        labels=node.spec.labels if labels is None else labels,
    )
    return UpdateNode(node.id, node.version, spec)
