"""Who has which address, and who waits for one: derived from endpoints, what tasks were given, attachments and nodes.

- A service has its VIPs, a node its attachments. A task has its addresses until it has ended and is wanted no more, as
  in SwarmKit; those that it shows afterwards are history. An attachment has its own for as long as it is there.
- What belongs to a network that is gone is nobody's.
- `unallocated`: services that lack ports or VIPs, or have tasks that wait for the allocator: woken when any is freed.
- `detached`: nodes whose attachments are not those that they should have: woken when a network that was full is not.
"""

from typing import TypeVar

from skep.core.indexes import Topic
from skep.core.state import ClusterState
from skep.core.subnets import Ranges, number_of
from skep.model.attachment import Attachment
from skep.model.ids import NetworkId, NodeId, ServiceId, TaskId
from skep.model.network import NetworkAddress
from skep.model.node import Node
from skep.model.service import PortConfig, Service, TaskTemplate, VirtualIp
from skep.model.states import TaskState
from skep.model.task import Task

K = TypeVar("K")

RUNNING = TaskState.RUNNING
INGRESS = "ingress"


# --- what should be


def wants_ingress(ports: tuple[PortConfig, ...]) -> bool:
    """Whether one of these ports is published on every node."""
    return any(port.publish_mode in ("", INGRESS) for port in ports)


def wanted_networks(state: ClusterState, template: TaskTemplate) -> list[NetworkId]:
    """Return the networks that tasks of a template join, one for each address; those that are gone are left out."""
    networks = [NetworkId(one.target) for one in template.networks if one.target in state.networks]
    if state.ingress_id and wants_ingress(template.ports):
        networks.insert(0, state.ingress_id)
    return networks


def wanted_vips(state: ClusterState, service: Service) -> list[NetworkId]:
    """Return the networks on which a service has an address of its own, one for each such address."""
    endpoint = service.spec.endpoint_spec
    if endpoint is not None and endpoint.mode == "dnsrr":
        return []
    return wanted_networks(state, TaskTemplate.of(service.spec))


def wanted_attachments(state: ClusterState, node: Node) -> list[NetworkId]:
    """Return the networks on which a node should have an address, the oldest first."""
    wanted = [i for i in state.node_networks.get(node.id, {}) if i in state.networks and i != state.ingress_id]
    wanted.sort(key=lambda i: (state.networks[i].written, i))
    if state.ingress_id and state.networks[state.ingress_id].ranges:
        wanted.insert(0, state.ingress_id)
    return wanted


def is_served(state: ClusterState, service: Service) -> bool:
    """Whether a service has the ports and addresses that its spec asks for, and no others."""
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    had = service.endpoint.ports if service.endpoint else ()
    if len(asked) != len(had) or not all(map(fulfils, had, asked)):
        return False
    vips = service.endpoint.virtual_ips if service.endpoint else ()
    return sorted(vip.network_id for vip in vips) == sorted(wanted_vips(state, service))


def fulfils(had: PortConfig, asked: PortConfig) -> bool:
    """Whether a port that was given is one that was asked for."""
    mode = asked.publish_mode or INGRESS
    published = had.published_port == asked.published_port
    if mode == INGRESS and not asked.published_port:
        published = had.published_port != 0
    return (
        published
        and had.publish_mode == mode
        and had.protocol == (asked.protocol or "tcp")
        and (had.target_port, had.name) == (asked.target_port, asked.name)
    )


# --- services


def hold_vips(state: ClusterState, service: Service) -> None:
    """Note the addresses of a service."""
    for vip in _vips(service):
        _hold(state, vip.network_id, vip.addr, service.id)


def free_vips(state: ClusterState, service: Service) -> None:
    """Note that a service has its addresses no more."""
    for vip in _vips(service):
        _free(state, vip.network_id, vip.addr)


def judge_service(state: ClusterState, service_id: ServiceId) -> None:
    """Note whether a service waits for the allocator."""
    service, index = state.services.get(service_id), state.service_tasks.get(service_id)
    if service is not None and ((index is not None and index.unallocated) or not is_served(state, service)):
        state.unallocated[service_id] = None
    else:
        state.unallocated.pop(service_id, None)


# --- tasks


def holds(task: Task) -> bool:
    """Whether a task still has the addresses that it was given."""
    return task.desired <= RUNNING or task.status.state <= RUNNING


def enter(state: ClusterState, task: Task) -> None:
    """Note the addresses of a task that was given some."""
    addresses = state.given[task.origin.id].addresses
    if holds(task):
        for given in addresses:
            _hold(state, given.network_id, given.addr, task.origin.id)
    if _lives_on_node(task):
        _count(state, task.node_id, addresses, 1)


def leave(state: ClusterState, task: Task) -> None:
    """Note that a task that was given addresses is forgotten."""
    addresses = state.given[task.origin.id].addresses
    if holds(task):
        for given in addresses:
            _free(state, given.network_id, given.addr)
    if _lives_on_node(task):
        _count(state, task.node_id, addresses, -1)


def change(state: ClusterState, old: Task, new: Task) -> None:
    """Note what became of a task that was given addresses."""
    addresses = state.given[new.origin.id].addresses
    if holds(old) and not holds(new):
        for given in addresses:
            _free(state, given.network_id, given.addr)
    if _lives_on_node(old) and not _lives_on_node(new):
        _count(state, old.node_id, addresses, -1)


def place(state: ClusterState, task: Task) -> None:
    """Note that a task that was given addresses came to a node."""
    _count(state, task.node_id, state.given[task.origin.id].addresses, 1)


def _lives_on_node(task: Task) -> bool:
    return bool(task.node_id) and task.status.state <= RUNNING


def _count(state: ClusterState, node_id: NodeId, addresses: tuple[NetworkAddress, ...], by: int) -> None:
    networks = state.node_networks.setdefault(node_id, {})
    for given in addresses:
        if given.addr:
            now = networks.get(given.network_id, 0) + by
            if now:
                networks[given.network_id] = now
            else:
                del networks[given.network_id]
            if now == max(0, by):
                judge_node(state, node_id)
    if not networks:
        del state.node_networks[node_id]


# --- attachments


def enter_attachment(state: ClusterState, attachment: Attachment) -> None:
    """Note the address of an attachment, and where it is."""
    _hold(state, attachment.network_id, attachment.addr, attachment.id)
    state.network_attachments.setdefault(attachment.network_id, {})[attachment.id] = None
    state.node_attachments.setdefault(attachment.node_id, {})[attachment.id] = None
    _count(state, attachment.node_id, (attachment.address,), 1)


def leave_attachment(state: ClusterState, attachment: Attachment) -> None:
    """Note that an attachment has ended."""
    _free(state, attachment.network_id, attachment.addr)
    _discard(state.network_attachments, attachment.network_id, attachment.id)
    _discard(state.node_attachments, attachment.node_id, attachment.id)
    _count(state, attachment.node_id, (attachment.address,), -1)


def _discard(index: dict[K, dict[TaskId, None]], key: K, attachment_id: TaskId) -> None:
    del index[key][attachment_id]
    if not index[key]:
        del index[key]


# --- nodes


def hold_attachments(state: ClusterState, node: Node) -> None:
    """Note the addresses of a node."""
    for given in node.attachments:
        _hold(state, given.network_id, given.addr, node.id)


def free_attachments(state: ClusterState, node: Node) -> None:
    """Note that a node has its addresses no more."""
    for given in node.attachments:
        _free(state, given.network_id, given.addr)


def judge_node(state: ClusterState, node_id: NodeId) -> None:
    """Note whether a node has the addresses that it should have."""
    node = state.nodes.get(node_id)
    if node is not None and {a.network_id: None for a in node.attachments} != dict.fromkeys(
        wanted_attachments(state, node)
    ):
        state.detached[node_id] = None
        state.touched.keys[Topic.ATTACHMENT, node_id] = None
    else:
        state.detached.pop(node_id, None)


# --- networks


def drop_network(state: ClusterState, network_id: NetworkId) -> None:
    """Note that a network is gone, and with it all of its addresses."""
    for node_id in [*map(NodeId, state.addresses.pop(network_id, {}).values()), *state.detached]:
        judge_node(state, node_id)


def wake(state: ClusterState) -> None:
    """Let services that wait look again: something was freed, or a network got its addresses."""
    for service_id in state.unallocated:
        state.touched.keys[Topic.NEW, service_id] = None


def reindex(state: ClusterState) -> None:
    """Build anew what services and nodes have; tasks enter afterwards, and `rejudge` comes last."""
    state.addresses, state.node_networks, state.unallocated, state.detached = {}, {}, {}, {}
    state.network_attachments, state.node_attachments = {}, {}
    state.capacities = {n.id: Ranges(n.ranges).capacity for n in state.networks.values() if n.ranges}
    state.ingress_id = next((n.id for n in state.networks.values() if n.spec.ingress), NetworkId(""))
    for service in state.services.values():
        hold_vips(state, service)
    for node in state.nodes.values():
        hold_attachments(state, node)
    for attachment in state.attachments.values():
        enter_attachment(state, attachment)


def rejudge(state: ClusterState) -> None:
    """Look again at everybody who may wait."""
    for service_id in state.services:
        judge_service(state, service_id)
    for node_id in state.nodes:
        judge_node(state, node_id)


def _vips(service: Service) -> tuple[VirtualIp, ...]:
    return service.endpoint.virtual_ips if service.endpoint else ()


def _hold(state: ClusterState, network_id: NetworkId, addr: str, owner: str) -> None:
    if not addr or network_id not in state.networks:
        return
    of = state.addresses.get(network_id)
    if of is None:
        of = state.addresses[network_id] = {}
    of[number_of(addr)] = owner


def _free(state: ClusterState, network_id: NetworkId, addr: str) -> None:
    of = state.addresses.get(network_id)
    if not addr or of is None:
        return
    full = len(of) >= state.capacities[network_id]
    of.pop(number_of(addr), None)
    if not of:
        del state.addresses[network_id]
    if full:
        for node_id in state.detached:
            state.touched.keys[Topic.ATTACHMENT, node_id] = None
    # once for many rows of a record: whoever begins to wait later in it, is woken by that
    if (Topic.NETWORK, network_id) not in state.touched.keys:
        state.touched.keys[Topic.NETWORK, network_id] = None
        wake(state)
