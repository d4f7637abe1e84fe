"""Networks: subnets that overlap no other, as asked for or from the swarm's pools, and a VXLAN id for each.

A removed subnet, or id, is not given again at once: the next one is (FACTS, chapter 9). What cannot be had is looked
for again when a network is removed.
"""

from bisect import bisect_right, insort
from ipaddress import ip_address

from msgspec.structs import replace

from skep.core.commands import AllocateNetwork
from skep.core.fold_network import asked_ranges, asked_vnis, pools_of
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import FIRST_VNI, LAST_VNI, ClusterState
from skep.core.subnets import Ranges, Span, parse_subnet, span_of, text_of
from skep.model.ids import Instant, NetworkId
from skep.model.network import IpamConfig, Network

#: More than the number of any address.
_BEYOND = 1 << 128


def plan_networks(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - makes no object
    """Return what a network is given that has nothing yet; none if it cannot be had."""
    network = state.networks.get(NetworkId(key))
    if network is None or network.allocated:
        return CONTENT
    try:
        ranges = _ranges(state, network)
    except ValueError:
        return CONTENT  # what was asked for is no range of addresses: nothing but its removal helps
    vnis = _vnis(state, network, len(ranges or ()))
    if not ranges or not vnis:
        return CONTENT
    return Plan((AllocateNetwork(network.id, vnis, ranges),), cause=network.written)


def _ranges(state: ClusterState, network: Network) -> tuple[IpamConfig, ...] | None:
    taken = _Taken(state)
    given: list[IpamConfig] = []
    following = state.next_subnet
    for config in asked_ranges(network) or (IpamConfig(),):
        subnet = config.subnet
        if not subnet:
            found = _next_subnet(state, taken, following)
            if found is None:
                return None
            following, subnet = found
        elif taken.overlaps(span_of(subnet)):
            return None
        taken.add(span_of(subnet))
        gateway = config.gateway or _first_address(replace(config, subnet=subnet))
        if gateway is None or ip_address(gateway) not in parse_subnet(subnet):
            return None
        given.append(replace(config, subnet=subnet, gateway=gateway))
    return tuple(given)


def _next_subnet(state: ClusterState, taken: "_Taken", following: int) -> tuple[int, str] | None:
    """Return the next subnet of the pools that overlaps none, around them once, and the place after it."""
    pools = pools_of(state)
    step = 0
    while step < pools.count:  # each look but the last meets another subnet that is taken: pools may be endless
        index = (following + step) % pools.count
        subnet = pools.at(index)
        last = taken.last_that_overlaps(span_of(subnet))
        if last is None:
            return index + 1, subnet
        step += pools.behind(index, last) - index
    return None


def _first_address(config: IpamConfig) -> str | None:
    ranges = Ranges((config,))
    for offset in range(ranges.size if ranges.capacity > 0 else 0):
        number, prefix = ranges.at(offset)
        if number not in ranges.reserved:
            return text_of(number, prefix).partition("/")[0]
    return None


def _vnis(state: ClusterState, network: Network, count: int) -> tuple[int, ...]:
    """Return as many VXLAN ids; none if those that were asked for, or so many, are not free."""
    taken = {vni: None for other in state.networks.values() for vni in other.vnis}
    vnis = list(asked_vnis(network)[:count])
    if any(vni in taken or vni > LAST_VNI for vni in vnis) or len(dict.fromkeys(vnis)) < len(vnis):
        return ()
    taken |= dict.fromkeys(vnis)
    vni = state.next_vni
    while len(vnis) < count and len(taken) <= LAST_VNI - FIRST_VNI:
        if vni not in taken:
            vnis.append(vni)
            taken[vni] = None
        vni = vni + 1 if vni < LAST_VNI else FIRST_VNI
    return tuple(vnis) if len(vnis) == count else ()


class _Taken:
    """The subnets that networks have, in order; no two of them overlap."""

    def __init__(self, state: ClusterState) -> None:
        self._spans: list[Span] = sorted(
            span_of(config.subnet) for network in state.networks.values() for config in network.ranges
        )

    def overlaps(self, span: Span) -> bool:
        """Whether a subnet has an address in common with any of them."""
        return self.last_that_overlaps(span) is not None

    def last_that_overlaps(self, span: Span) -> int | None:
        """Return the last address of the last of them that has any in common with a subnet; None if none has."""
        after = bisect_right(self._spans, (span[1], _BEYOND))
        if after == 0 or self._spans[after - 1][1] < span[0]:
            return None
        return self._spans[after - 1][1]

    def add(self, span: Span) -> None:
        """Take a subnet, too."""
        insort(self._spans, span)
