"""Services and their tasks: ports and VIPs first, then an address on each network for each task that is new.

A task that cannot be served stays NEW, and says why. A reason that still holds stays, though there are others by now:
nobody is woken when something is used up, only when something is freed.
"""

from skep.core.address_index import is_served, wanted_networks, wanted_vips
from skep.core.addresses import Addresses
from skep.core.commands import AllocateService, AllocateTasks, Command, HoldTasks
from skep.core.events import ROWS_MAX
from skep.core.plan.allocator.ports import NO_PORT, ports_for
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, NetworkId, Position, ServiceId, TaskId
from skep.model.network import NetworkAddress
from skep.model.service import Endpoint, Service, VirtualIp


def plan_allocation(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no object
    """Return what a service and its new tasks are given."""
    service = state.services.get(ServiceId(key))
    if service is None or service.id not in state.unallocated:
        return CONTENT
    addresses = Addresses(state)
    commands: list[Command] = []
    lacks: list[str] = []
    if not is_served(state, service):
        endpoint = _endpoint(state, service, addresses)
        if isinstance(endpoint, Endpoint):
            commands.append(AllocateService(service.id, endpoint))
        else:
            lacks = endpoint
    more = _serve_tasks(state, service, addresses, lacks, commands)
    return Plan(tuple(commands), cause=service.written, more=more) if commands else CONTENT


def _endpoint(state: ClusterState, service: Service, addresses: Addresses) -> Endpoint | list[str]:
    """Return what the service should have, or all reasons why it cannot have it.

    What it has already it keeps, in its place; what is new comes last, on the ingress network first (FACTS, chapter 9).
    """
    ports = ports_for(state, service)
    missing = wanted_vips(state, service)
    vips: list[VirtualIp] = []
    for vip in service.endpoint.virtual_ips if service.endpoint else ():
        if vip.network_id in missing:
            missing.remove(vip.network_id)
            vips.append(vip)
    lacks = addresses.lacks(missing)
    if ports is None or lacks:
        return lacks if ports is not None else [NO_PORT, *lacks]
    vips += [VirtualIp(network_id, addresses.draw(network_id)) for network_id in missing]
    return Endpoint(ports=ports, virtual_ips=tuple(vips))


def _serve_tasks(
    state: ClusterState, service: Service, addresses: Addresses, lacks: list[str], commands: list[Command]
) -> bool:
    """Give tasks their addresses, or note what is lacking; return whether the budget of rows left some."""
    index = state.service_tasks.get(service.id)
    if index is None:
        return False
    given: dict[TaskId, tuple[NetworkAddress, ...]] = {}
    held: dict[TaskId, str] = {}
    networks: dict[Position, list[NetworkId]] = {}
    reasons: dict[Position, list[str]] = {}
    more = False
    for task_id in index.unallocated:
        if len(given) + len(held) >= ROWS_MAX:
            more = True
            break
        task = state.tasks[task_id]
        template = task.origin.spec_version
        joins = networks.get(template)
        if joins is None:
            joins = networks[template] = wanted_networks(state, state.template_of(task))
            reasons[template] = lacks
        why = reasons[template] or addresses.lacks(joins)
        if why:
            reasons[template] = why
            if task.status.err not in why:
                held[task_id] = why[0]
            continue
        given[task_id] = tuple(NetworkAddress(i, addresses.draw(i)) for i in joins)
    if given:
        kept = tuple(given.values()) if any(given.values()) else ()
        commands.append(AllocateTasks(tuple(given), kept))
    if held:
        commands.append(HoldTasks(tuple(held), tuple(held.values())))
    return more
