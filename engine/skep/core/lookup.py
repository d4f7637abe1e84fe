"""Find an object by what people call it: its id, its name, or the beginning of its id.

An exact id wins over an exact name, and that over a prefix, which must be the only one's (FACTS, chapter 1).
Ids and names are looked up; only a prefix, and a node's hostname, walk through the table.
Rejections are bare: the Engine API resolves references before it asks Swarm.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.ids import ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId
from skep.model.network import Network
from skep.model.node import Node
from skep.model.secret import Config, Secret
from skep.model.service import Service
from skep.model.task import Task

K = TypeVar("K", bound=str)
V = TypeVar("V")


def find_service(state: ClusterState, ref: str) -> Service:
    """Return the service of this id, name or id prefix.

    Raises:
        Rejected: none has it, or several begin with it.
    """
    found = state.services.get(ServiceId(ref))
    if found is None and (service_id := state.service_names.get(ref.lower())) is not None:
        # names are kept apart whatever their case, but are called by their own
        named = state.services[service_id]
        found = named if named.spec.name == ref else None
    return found or _by_prefix("service", state.services, ref)


def find_secret(state: ClusterState, ref: str) -> Secret:
    """Return the secret of this id, name or id prefix; `Rejected` as for a service."""
    found = state.secrets.get(SecretId(ref))
    if found is None and (secret_id := state.secret_names.get(ref)) is not None:
        found = state.secrets[secret_id]
    return found or _by_prefix("secret", state.secrets, ref)


def find_config(state: ClusterState, ref: str) -> Config:
    """Return the config of this id, name or id prefix; `Rejected` as for a service."""
    found = state.configs.get(ConfigId(ref))
    if found is None and (config_id := state.config_names.get(ref)) is not None:
        found = state.configs[config_id]
    return found or _by_prefix("config", state.configs, ref)


def find_network(state: ClusterState, ref: str) -> Network:
    """Return the network of this id, name or id prefix; `Rejected` as for a service."""
    found = state.networks.get(NetworkId(ref))
    if found is None and (network_id := state.network_names.get(ref)) is not None:
        found = state.networks[network_id]
    return found or _by_prefix("network", state.networks, ref)


def find_node(state: ClusterState, ref: str) -> Node:
    """Return the node of this id, hostname or id prefix; `Rejected` as for a service.

    A node's name in its spec is never asked (recorded), and hostnames need not be unique.
    """
    found = state.nodes.get(NodeId(ref))
    if found is not None:
        return found
    called = [node for node in state.nodes.values() if node.description.hostname == ref] if ref else []
    return _the_only("node", ref, called) if called else _by_prefix("node", state.nodes, ref)


def find_task(state: ClusterState, ref: str) -> Task:
    """Return the task of this id or id prefix; `Rejected` as for a service. `web.1` is no task's name (recorded)."""
    return state.tasks.get(TaskId(ref)) or _by_prefix("task", state.tasks, ref)


def find_attachment(state: ClusterState, ref: str) -> Attachment:
    """Return the attachment of this id or id prefix; `Rejected` as for a service, in the words for tasks."""
    return state.attachments.get(TaskId(ref)) or _by_prefix("task", state.attachments, ref)


def _by_prefix(kind: str, table: Mapping[K, V], ref: str) -> V:
    return _the_only(kind, ref, (value for key, value in table.items() if key.startswith(ref)) if ref else ())


def _the_only(kind: str, ref: str, matches: Iterable[V]) -> V:
    found = list(matches)
    if not found:
        raise Rejected.not_found(kind, ref, bare=True)
    if len(found) > 1:
        raise Rejected.ambiguous(kind, ref, len(found))
    return found[0]
