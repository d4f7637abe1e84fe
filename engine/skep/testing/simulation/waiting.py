"""Why tasks wait, by brute force: whether what they say of it is so. Told apart from the engine's own judgement."""

from collections.abc import Iterator
from ipaddress import ip_network

from skep.core.state import ClusterState
from skep.model.ids import NetworkId
from skep.model.network import Network, NetworkAddress
from skep.model.node import Node
from skep.model.service import Reservations, ResourceRequirements, Service, TaskTemplate
from skep.model.states import Availability, NodeState, TaskState
from skep.model.task import Given, Task
from skep.testing.simulation.places import ANYWHERE, fits

#: What filters say, in the order in which a node is asked; the last one counts no nodes.
_WORDS = {
    "closed": "{} not available for new tasks",
    "small": "insufficient resources on {}",
    "unfit": "scheduling constraints not satisfied on {}",
    "taken": "host-mode port already in use on {}",
    "full": "max replicas per node limit exceed",
}

#: Subnet, broadcast and gateway are nobody's.
_RESERVED = 3

_NOTHING = Reservations()
_NOT_GIVEN = Given()


def wrong_reason(state: ClusterState, task: Task) -> str:
    """Say what is wrong with the reason for which a task that is wanted waits; empty if nothing is, or it waits not."""
    if task.state is TaskState.NEW:
        return _wrong_of_addresses(state, task)
    if task.state is TaskState.PENDING:
        return _wrong_of_place(state, task)
    return ""


# --- the allocator's


def _wrong_of_addresses(state: ClusterState, task: Task) -> str:
    words = [f"network {network.spec.name} has no subnet yet" for network in _joined(state, task) if not network.ranges]
    words += [
        f"no address left on network {network.spec.name}"
        for network in _joined(state, task)
        if network.ranges and _is_full(state, network)
    ]
    if task.status.err in words:
        return ""
    return f"task {task.id} says {task.status.err!r}, and should say one of {words}"


def _joined(state: ClusterState, task: Task) -> Iterator[Network]:
    """Yield the networks that a task joins, and those of its service, which has its addresses first."""
    service = state.services.get(task.service_id)
    templates = [state.template_of(task), *([TaskTemplate.of(service.spec)] if service is not None else ())]
    for template in templates:
        yield from _of_template(state, template)


def _of_template(state: ClusterState, template: TaskTemplate) -> list[Network]:
    networks = [state.networks[NetworkId(one.target)] for one in template.networks if one.target in state.networks]
    ingress = any(port.publish_mode in ("", "ingress") for port in template.ports)
    return [*networks, *([state.networks[state.ingress_id]] if ingress else [])]


def _is_full(state: ClusterState, network: Network) -> bool:
    room = sum(ip_network(one.subnet).num_addresses - _RESERVED for one in network.ranges)
    return len(state.addresses.get(network.id, ())) >= room


def wrongly_bare(state: ClusterState, network: Network) -> str:
    """Say which subnet a network could be given that has none; empty if there is none, or it has one."""
    if network.allocated or state.cluster is None:
        return ""
    taken = [ip_network(one.subnet) for other in state.networks.values() for one in other.ranges]
    asked = [ip_network(one.subnet) for one in (network.spec.ipam.configs if network.spec.ipam else ()) if one.subnet]
    pools = map(ip_network, state.cluster.default_addr_pool)
    could = asked or [one for pool in pools for one in pool.subnets(new_prefix=state.cluster.subnet_size)]
    free = [one for one in could if not any(one.overlaps(other) for other in taken)]
    return f"network {network.spec.name} has no subnet, and {free[0]} is free" if free else ""


def wrongly_unserved(state: ClusterState, service: Service) -> str:
    """Say what a service could have of what its spec asks the allocator for, and has not; empty if there is nothing."""
    endpoint = service.spec.endpoint_spec
    asked = endpoint.ports if endpoint is not None else ()
    has = {vip.network_id: None for vip in service.endpoint.virtual_ips} if service.endpoint is not None else {}
    joined = (
        [] if endpoint is not None and endpoint.mode == "dnsrr" else _of_template(state, TaskTemplate.of(service.spec))
    )
    missing = [network for network in joined if network.id not in has]
    if any(not network.ranges or _is_full(state, network) for network in missing):
        return ""
    if missing:
        return f"service {service.spec.name} has no address on network {missing[0].spec.name}, which has some left"
    had = service.endpoint.ports if service.endpoint is not None else ()
    return "" if len(had) == len(asked) else f"service {service.spec.name} has {len(had)} of {len(asked)} ports"


def wrongly_detached(state: ClusterState, node: Node) -> str:
    """Say of which network a node could have an address that it should have and has not; empty if there is none."""
    lives_on = {one.network_id: None for task in holding(state, node) for one in given_addresses(state, task)}
    lives_on |= {one.network_id: None for one in state.attachments.values() if one.node_id == node.id}
    has = {one.network_id: None for one in node.attachments}
    for network_id in {**lives_on, state.ingress_id: None}:
        network = state.networks.get(network_id)
        if network is not None and network.ranges and network_id not in has and not _is_full(state, network):
            return f"node {node.id} has no address on network {network.spec.name}, which has some left"
    return ""


def given_addresses(state: ClusterState, task: Task) -> tuple[NetworkAddress, ...]:
    """Return the addresses that a task was given."""
    return state.given.get(task.id, _NOT_GIVEN).addresses


# --- the scheduler's


def _wrong_of_place(state: ClusterState, task: Task) -> str:
    counts = dict.fromkeys(_WORDS, 0)
    for node in state.nodes.values():
        if task.node_id not in ("", node.id):
            continue
        refused = _refused(state, task, node)
        if not refused:
            return f"task {task.id} waits ({task.status.err}), and fits on node {node.id}"
        counts[refused] += 1
    parts = [
        _WORDS[what].format(f"{count} node{'' if count == 1 else 's'}")
        for what, count in sorted(counts.items(), key=lambda row: -row[1])
        if count
    ]
    expected = f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"
    return (
        "" if task.status.err == expected else f"task {task.id} says {task.status.err!r}, and should say {expected!r}"
    )


def _refused(state: ClusterState, task: Task, node: Node) -> str:
    """Say which filter refuses a node; empty if none does."""
    template = state.template_of(task)
    placement = template.spec.placement or ANYWHERE
    if node.status.state is not NodeState.READY or node.spec.availability is not Availability.ACTIVE:
        return "closed"
    if _is_small(state, template, node):
        return "small"
    if not fits(placement, node):
        return "unfit"
    if any(port in host_ports(template) for other in holding(state, node) for port in host_ports(_of(state, other))):
        return "taken"
    if placement.max_replicas and _replicas(state, task, node) >= placement.max_replicas:
        return "full"
    return ""


def _replicas(state: ClusterState, task: Task, node: Node) -> int:
    """Return how many tasks of a task's service count on a node; one that was born there does itself."""
    there = [t for t in state.tasks_on(node.id) if t.service_id == task.service_id and t.wanted and t.id != task.id]
    if task.node_id:
        return sum(TaskState.ASSIGNED <= t.state <= TaskState.RUNNING for t in there)
    return sum(not t.state.terminal for t in there)


def _of(state: ClusterState, task: Task) -> TaskTemplate:
    return state.template_of(task)


def _is_small(state: ClusterState, template: TaskTemplate, node: Node) -> bool:
    wanted, has = reserved(template.spec.resources), node.description.resources or _NOTHING
    held = [reserved(_of(state, other).spec.resources) for other in holding(state, node)]
    if wanted.nano_cpus > has.nano_cpus - sum(one.nano_cpus for one in held):
        return True
    if wanted.memory_bytes > has.memory_bytes - sum(one.memory_bytes for one in held):
        return True
    there, taken = units(has), [units(given(state, other)) for other in holding(state, node)]
    return any(
        amount > there.get(kind, 0) - sum(one.get(kind, 0) for one in taken) for kind, amount in units(wanted).items()
    )


def reserved(resources: ResourceRequirements | None) -> Reservations:
    """Return what a task reserves."""
    return (resources.reservations if resources is not None else None) or _NOTHING


def given(state: ClusterState, task: Task) -> Reservations:
    """Return the generic resources that a task was given."""
    return Reservations(generic_resources=state.given.get(task.id, _NOT_GIVEN).resources)


def units(has: Reservations) -> dict[str, int]:
    """Return how many units of each generic resource there are, named or not."""
    counts: dict[str, int] = {}
    for one in has.generic_resources:
        if one.named_resource_spec is not None:
            kind, count = one.named_resource_spec.kind, 1
        elif one.discrete_resource_spec is not None:
            kind, count = one.discrete_resource_spec.kind, one.discrete_resource_spec.value
        else:
            continue
        counts[kind] = counts.get(kind, 0) + count
    return counts


def holding(state: ClusterState, node: Node) -> list[Task]:
    """Return the tasks that hold what they were given on a node: assigned, and not ended."""
    return [task for task in state.tasks_on(node.id) if TaskState.ASSIGNED <= task.state <= TaskState.RUNNING]


def host_ports(template: TaskTemplate) -> list[tuple[str, int]]:
    """Return the ports of its host that a task listens on."""
    return [(port.protocol or "tcp", port.published_port) for port in template.ports if port.publish_mode == "host"]
