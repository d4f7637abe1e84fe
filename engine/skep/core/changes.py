"""What the world outside sees of events: Docker's own events of swarm scope.

- `describe` looks at the state just before the event is applied, and is pure.
- Every write of a service, node, network, secret or config is a change, allocation and update status included; tasks
  and the swarm itself give none (FACTS, chapter 10; scenario 45).
- A change tells what differs in pairs `replicas.old`, `replicas.new`, and no more.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from skep.core.events import (
    ConfigCreated,
    ConfigRemoved,
    ConfigUpdated,
    Event,
    NetworkAllocated,
    NetworkCreated,
    NetworkRemoved,
    NodeAttached,
    NodeDescribed,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    SecretCreated,
    SecretRemoved,
    SecretUpdated,
    ServiceAllocated,
    ServiceCreated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
)
from skep.core.state import ClusterState
from skep.model.ids import Instant, Position
from skep.model.node import Node, NodeSpec
from skep.model.service import ServiceSpec, UpdateStatus
from skep.model.states import Availability, Role


class Change(Struct, frozen=True):
    """One event as Docker shows it: `kind` is its type (service, node, network, secret, config), `action` its verb."""

    position: Position
    time: Instant
    kind: str
    action: str
    id: str
    attributes: dict[str, str]


#: kind, action, id, attributes
_Row = tuple[str, str, str, dict[str, str]]


def describe(state: ClusterState, position: Position, time: Instant, event: Event) -> tuple[Change, ...]:
    """Return the changes that `event`, of the record at `position`, will make to `state`, which it finds before it."""
    rows = _DESCRIBE.get(type(event))
    if rows is None:
        return ()
    return tuple(Change(position, time, *row) for row in rows(state, event))


# --- services


def _service_created(_: ClusterState, event: ServiceCreated) -> list[_Row]:
    return [("service", "create", event.service_id, {"name": event.spec.name})]


def _service_removed(state: ClusterState, event: ServiceRemoved) -> list[_Row]:
    return [("service", "remove", event.service_id, {"name": state.services[event.service_id].spec.name})]


def _service_respecified(state: ClusterState, event: ServiceUpdated | ServiceRolledBack) -> list[_Row]:
    service = state.services[event.service_id]
    attributes = {"name": event.spec.name} | _of_specs(service.spec, event.spec)
    if isinstance(event, ServiceRolledBack):
        attributes |= _of_updates(service.update_status, event.status)
    return [("service", "update", service.id, attributes)]


def _service_update_reported(state: ClusterState, event: ServiceUpdateReported) -> list[_Row]:
    service = state.services[event.service_id]
    attributes = {"name": service.spec.name} | _of_updates(service.update_status, event.status)
    return [("service", "update", service.id, attributes)]


def _service_allocated(state: ClusterState, event: ServiceAllocated) -> list[_Row]:
    return [("service", "update", event.service_id, {"name": state.services[event.service_id].spec.name})]


def _of_specs(old: ServiceSpec, new: ServiceSpec) -> dict[str, str]:
    differing = _pair("image", old.container.image, new.container.image)
    if old.replicas is not None and new.replicas is not None:
        differing |= _pair("replicas", str(old.replicas), str(new.replicas))
    return differing


def _of_updates(old: UpdateStatus | None, new: UpdateStatus) -> dict[str, str]:
    if old is None:
        return {"updatestate.new": new.state.value}
    return _pair("updatestate", old.state.value, new.state.value)


# --- nodes


def _nodes_joined(_: ClusterState, event: NodesJoined) -> list[_Row]:
    return [
        ("node", "create", node_id, {"name": description.hostname})
        for node_id, description in zip(event.node_ids, event.descriptions, strict=True)
    ]


def _node_described(_: ClusterState, event: NodeDescribed) -> list[_Row]:
    return [("node", "update", event.node_id, {"name": event.description.hostname})]


def _nodes_observed(state: ClusterState, event: NodesObserved) -> list[_Row]:
    rows: list[_Row] = []
    for node_id in event.node_ids:
        node = state.nodes[node_id]
        rows.append(("node", "update", node_id, _named(node) | _pair("state", node.status.state, event.state)))
    return rows


def _node_attached(state: ClusterState, event: NodeAttached) -> list[_Row]:
    return [("node", "update", event.node_id, _named(state.nodes[event.node_id]))]


def _node_updated(state: ClusterState, event: NodeUpdated) -> list[_Row]:
    node = state.nodes[event.node_id]
    return [("node", "update", node.id, _named(node) | _of_node_specs(node.spec, event.spec))]


def _node_removed(state: ClusterState, event: NodeRemoved) -> list[_Row]:
    return [("node", "remove", event.node_id, _named(state.nodes[event.node_id]))]


def _named(node: Node) -> dict[str, str]:
    return {"name": node.description.hostname}


def _of_node_specs(old: NodeSpec, new: NodeSpec) -> dict[str, str]:
    return _pair(
        "availability", old.availability or Availability.ACTIVE, new.availability or Availability.ACTIVE
    ) | _pair("role", old.role or Role.WORKER, new.role or Role.WORKER)


# --- networks


def _network_created(_: ClusterState, event: NetworkCreated) -> list[_Row]:
    return [("network", "create", event.network_id, {"name": event.spec.name})]


def _network_allocated(state: ClusterState, event: NetworkAllocated) -> list[_Row]:
    return [("network", "update", event.network_id, {"name": state.networks[event.network_id].spec.name})]


def _network_removed(state: ClusterState, event: NetworkRemoved) -> list[_Row]:
    return [("network", "remove", event.network_id, {"name": state.networks[event.network_id].spec.name})]


# --- secrets and configs


def _secret_written(_: ClusterState, event: SecretCreated | SecretUpdated) -> list[_Row]:
    action = "create" if isinstance(event, SecretCreated) else "update"
    return [("secret", action, event.secret_id, {"name": event.spec.name})]


def _secret_removed(state: ClusterState, event: SecretRemoved) -> list[_Row]:
    return [("secret", "remove", event.secret_id, {"name": state.secrets[event.secret_id].spec.name})]


def _config_written(_: ClusterState, event: ConfigCreated | ConfigUpdated) -> list[_Row]:
    action = "create" if isinstance(event, ConfigCreated) else "update"
    return [("config", action, event.config_id, {"name": event.spec.name})]


def _config_removed(state: ClusterState, event: ConfigRemoved) -> list[_Row]:
    return [("config", "remove", event.config_id, {"name": state.configs[event.config_id].spec.name})]


def _pair(name: str, old: str, new: str) -> dict[str, str]:
    return {} if old == new else {f"{name}.old": str(old), f"{name}.new": str(new)}


#: What is not here, nobody outside Swarm sees.
_DESCRIBE: dict[type[Event], Callable[[ClusterState, Any], list[_Row]]] = {
    NodesJoined: _nodes_joined,
    NodeDescribed: _node_described,
    NodesObserved: _nodes_observed,
    NodeAttached: _node_attached,
    NodeUpdated: _node_updated,
    NodeRemoved: _node_removed,
    ServiceCreated: _service_created,
    ServiceUpdated: _service_respecified,
    ServiceRolledBack: _service_respecified,
    ServiceUpdateReported: _service_update_reported,
    ServiceAllocated: _service_allocated,
    ServiceRemoved: _service_removed,
    NetworkCreated: _network_created,
    NetworkAllocated: _network_allocated,
    NetworkRemoved: _network_removed,
    SecretCreated: _secret_written,
    SecretUpdated: _secret_written,
    SecretRemoved: _secret_removed,
    ConfigCreated: _config_written,
    ConfigUpdated: _config_written,
    ConfigRemoved: _config_removed,
}
