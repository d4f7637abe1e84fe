"""What people ask of nodes, networks, secrets, configs and the swarm, drawn from the state as it is."""

from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateConfig,
    CreateNetwork,
    CreateSecret,
    JoinNodes,
    RemoveConfig,
    RemoveNetwork,
    RemoveNode,
    RemoveSecret,
    UpdateConfigObject,
    UpdateNode,
    UpdateSecret,
    UpdateSwarm,
)
from skep.model.ids import NANOSECONDS, ConfigId, NetworkId, SecretId
from skep.model.network import Network
from skep.model.node import NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.states import Availability, NodeState, Role
from skep.model.swarm import CaConfig, OrchestrationConfig
from skep.testing.simulation import places, specs
from skep.testing.simulation.desk import Desk, asked

#: Fewer nodes, and more, are not asked for.
NODES_MIN = 4
NODES_MAX = 8

#: More networks than this are not asked for, the one of published ports included: the swarm's pool has room for fewer.
NETWORKS_MAX = 5

#: How long certificates live, in hours, 0: as by default. Clocks jump hours ahead, and so most are soon old.
EXPIRIES_H = (0, 2, 6, 12, 30)
HOUR_NS = 3600 * NANOSECONDS

# --- nodes


@asked(4)
def change_availability(desk: Desk) -> Command | None:
    """Want a node to take tasks, or none, or to give up those that it has."""
    active = desk.likely(0.6)
    availability = Availability.ACTIVE if active else desk.random.choice((Availability.PAUSE, Availability.DRAIN))
    return _update_node(desk, availability=availability)


@asked(4)
def label_node(desk: Desk) -> Command | None:
    """Want a node to be known as something else."""
    return _update_node(desk, labels=places.labels(desk.random))


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
    spec = NodeSpec(labels=places.labels(desk.random), role=Role.WORKER, availability=Availability.ACTIVE)
    return JoinNodes((machine.node_id,), (spec,), (NodeDescription(hostname=machine.name),), ("",), (None,))


# --- networks


@asked(3)
def create_network(desk: Desk) -> Command | None:
    """Begin a network."""
    if len(_made(desk)) >= NETWORKS_MAX:
        return None
    return CreateNetwork(NetworkId(desk.ids.new()), specs.network(desk.random))


@asked(2)
def remove_network(desk: Desk) -> Command | None:
    """Want a network to be gone."""
    network = desk.pick({i: one for i, one in _made(desk).items() if not one.spec.ingress})
    return RemoveNetwork(network.id) if network else None


def _made(desk: Desk) -> dict[NetworkId, Network]:
    return {one.id: one for one in desk.state.networks.values() if not one.predefined}


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


@asked(1)
def limit_certificates(desk: Desk) -> Command | None:
    """Want certificates to live shorter, or as long as they do by default."""
    cluster = desk.state.cluster
    if cluster is None:
        return None
    config = cluster.spec.ca_config or CaConfig()
    expiry = desk.random.choice(EXPIRIES_H) * HOUR_NS
    return UpdateSwarm(cluster.version, replace(cluster.spec, ca_config=replace(config, node_cert_expiry=expiry)))


# --- what they ask with


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
