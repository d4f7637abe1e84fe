"""The allocator: published ports of services, and what tasks need before they wait for a node.

What is given is an event and what is free follows from the fold, so nothing leaks. Networks, their addresses and the
attachments of nodes will be given the same way (docs/decisions).
"""

from itertools import islice

from msgspec.structs import replace

from skep.core.commands import AllocateService, AllocateTasks, Command
from skep.core.events import ROWS_MAX
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT, ClusterState
from skep.model.ids import NANOSECONDS, Instant, ServiceId
from skep.model.service import Endpoint, PortConfig, Service

INGRESS = "ingress"

#: Nanoseconds after which a port that could not be had is looked for again: freeing one wakes only its own service.
RETRY = 5 * NANOSECONDS


def plan_allocation(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no object
    """Return what a service and its new tasks are given."""
    service = state.services.get(ServiceId(key))
    if service is None:
        return CONTENT
    commands: list[Command] = []
    endpoint = _endpoint(state, service)
    if endpoint is None:
        return Plan(wake_at=Instant(now + RETRY))  # a port is not to be had: its tasks stay NEW until it is
    if endpoint != (service.endpoint or Endpoint()):
        commands.append(AllocateService(service.id, endpoint))
    index = state.service_tasks.get(service.id)
    waiting = tuple(islice(index.unallocated, ROWS_MAX)) if index else ()
    if waiting:
        commands.append(AllocateTasks(waiting))
    more = index is not None and len(index.unallocated) > len(waiting)
    return Plan(tuple(commands), cause=service.written, more=more) if commands else CONTENT


def _endpoint(state: ClusterState, service: Service) -> Endpoint | None:
    """Return what the service should have; None if a port cannot be had."""
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    had = list(service.endpoint.ports) if service.endpoint else []
    given: list[PortConfig] = []
    # a chosen number must be none that the same spec asks for
    taken = {(p.protocol or "tcp", p.published_port): None for p in asked if p.published_port}
    following = state.next_port
    for port in asked:
        wanted = replace(port, protocol=port.protocol or "tcp", publish_mode=port.publish_mode or INGRESS)
        if wanted.publish_mode == INGRESS and not wanted.published_port:
            kept = next((p for p in had if replace(p, published_port=0) == wanted), None)
            if kept is not None:
                had.remove(kept)
                wanted = kept
            else:
                number = _free_port(state, wanted.protocol, following, taken)
                if number is None:
                    return None
                wanted = replace(wanted, published_port=number)
                following = number + 1
        elif wanted.publish_mode == INGRESS:
            holder = state.ports.get((wanted.protocol, wanted.published_port), service.id)
            if holder != service.id:
                return None
        taken[wanted.protocol, wanted.published_port] = None
        given.append(wanted)
    return Endpoint(ports=tuple(given), virtual_ips=service.endpoint.virtual_ips if service.endpoint else ())


def _free_port(state: ClusterState, protocol: str, following: int, taken: dict[tuple[str, int], None]) -> int | None:
    """Return the next free port after the last one handed out, around the range once (FACTS, chapter 9)."""
    span = LAST_DYNAMIC_PORT - FIRST_DYNAMIC_PORT + 1
    for step in range(span):
        number = FIRST_DYNAMIC_PORT + (following - FIRST_DYNAMIC_PORT + step) % span
        if (protocol, number) not in state.ports and (protocol, number) not in taken:
            return number
    return None
