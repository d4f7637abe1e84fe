"""Published ports: those that were asked for by number, and the next ones from 30000 on (FACTS, chapter 9)."""

from collections.abc import Iterable

from msgspec.structs import replace

from skep.core.address_index import INGRESS
from skep.core.state import FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT, ClusterState
from skep.model.service import PortConfig, Service

#: Why a service waits for a port.
NO_PORT = f"no port left to publish between {FIRST_DYNAMIC_PORT} and {LAST_DYNAMIC_PORT}"


def ports_for(state: ClusterState, service: Service) -> tuple[PortConfig, ...] | None:
    """Return the ports that a service should have; None if one cannot be had.

    As in SwarmKit, a chosen number is kept while the count of ports stays, and else all are chosen anew (recorded in
    scenario 25). Ports of the host are the scheduler's.
    """
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    had: dict[tuple[str, str, int, str], list[PortConfig]] = {}
    if service.endpoint and len(service.endpoint.ports) == len(asked):
        for port in service.endpoint.ports:
            had.setdefault(_purpose(port), []).append(port)
    given: list[PortConfig] = []
    # a chosen number must be none that the same spec asks for
    taken = dict.fromkeys(_ingress(asked))
    following = state.next_port
    for port in asked:
        wanted = replace(port, protocol=port.protocol or "tcp", publish_mode=port.publish_mode or INGRESS)
        if wanted.publish_mode != INGRESS:
            given.append(wanted)
            continue
        key = wanted.protocol, wanted.published_port
        if wanted.published_port and state.ports.get(key, service.id) != service.id:
            return None
        if not wanted.published_port:
            alike = had.get(_purpose(wanted), [])
            kept = next((p for p in alike if p.published_port and (p.protocol, p.published_port) not in taken), None)
            if kept is not None:
                alike.remove(kept)
                wanted = kept
            else:
                number = _free_port(state, wanted.protocol, following, taken)
                if number is None:
                    return None
                wanted = replace(wanted, published_port=number)
                following = number + 1
        taken[wanted.protocol, wanted.published_port] = None
        given.append(wanted)
    return tuple(given)


def _purpose(port: PortConfig) -> tuple[str, str, int, str]:
    """Return what a port is for, its number aside."""
    return port.publish_mode, port.protocol, port.target_port, port.name


def _ingress(ports: Iterable[PortConfig]) -> list[tuple[str, int]]:
    return [
        (port.protocol or "tcp", port.published_port)
        for port in ports
        if port.published_port and (port.publish_mode or INGRESS) == INGRESS
    ]


def _free_port(state: ClusterState, protocol: str, following: int, taken: dict[tuple[str, int], None]) -> int | None:
    """Return the next free port after the last one handed out, around the range once.

    Skep's own: one that a service publishes on its hosts is passed over, since it could be on none of them.
    """
    span = LAST_DYNAMIC_PORT - FIRST_DYNAMIC_PORT + 1
    for step in range(span):
        number = FIRST_DYNAMIC_PORT + (following - FIRST_DYNAMIC_PORT + step) % span
        key = protocol, number
        if key not in state.ports and key not in state.host_ports and key not in taken:
            return number
    return None
