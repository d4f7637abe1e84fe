"""What always holds of addresses and subnets: nothing is held twice, outside its network, or by nobody."""

import itertools
from collections.abc import Callable, Iterator

from skep.core import address_index
from skep.core.rejected import Broken
from skep.core.state import FIRST_VNI, LAST_VNI, ClusterState
from skep.core.subnets import Ranges, number_of, span_of
from skep.model.ids import NetworkId

#: Makes an error of what does not hold, and of whom.
Breaks = Callable[[str, str], Broken]


def check_addresses(state: ClusterState, broken: Breaks) -> None:
    """Raise if an address is held twice, or by nobody, or lies outside its network; or if networks overlap."""
    _check_networks(state, broken)
    owners: dict[tuple[NetworkId, int], str] = {}
    ranges = {network.id: Ranges(network.ranges) for network in state.networks.values()}
    for network_id, addr, owner in _held(state):
        if network_id not in state.networks or not addr:
            continue
        number = number_of(addr)
        other = owners.setdefault((network_id, number), owner)
        if other != owner:
            raise broken(f"{addr} of network {network_id} is both {other}'s and {owner}'s", owner)
        if ranges[network_id].offset(number) is None or number in ranges[network_id].reserved:
            raise broken(f"{addr} of {owner} is none that network {network_id} gives", owner)
    held = {(network_id, number): owner for network_id, of in state.addresses.items() for number, owner in of.items()}
    if held != owners:
        raise broken(f"addresses are held {held}, and should be {owners}", "")
    for task_id in state.given:
        if task_id not in state.tasks:
            raise broken(f"task {task_id} was given something and is not known", task_id)
    if [*state.cursors] != [i for i in state.cursors if i in state.networks]:
        raise broken(f"cursors are kept of networks that are gone: {state.cursors}", "")


def _held(state: ClusterState) -> Iterator[tuple[NetworkId, str, str]]:
    for service in state.services.values():
        for vip in service.endpoint.virtual_ips if service.endpoint else ():
            yield vip.network_id, vip.addr, service.id
    for node in state.nodes.values():
        for given in node.attachments:
            yield given.network_id, given.addr, node.id
    for task_id, what in state.given.items():
        if task_id in state.tasks and address_index.holds(state.tasks[task_id]):
            for given in what.addresses:
                yield given.network_id, given.addr, task_id
    for attachment in state.attachments.values():
        yield attachment.network_id, attachment.addr, attachment.id


def _check_networks(state: ClusterState, broken: Breaks) -> None:
    vnis: dict[int, NetworkId] = {}
    spans = []
    for network in state.networks.values():
        for vni in network.vnis:
            if vnis.setdefault(vni, network.id) != network.id:
                raise broken(f"VXLAN id {vni} is both {vnis[vni]}'s and {network.id}'s", network.id)
        spans += [(*span_of(config.subnet), network.id) for config in network.ranges]
    spans.sort()
    for (_, last, one), (first, _, other) in itertools.pairwise(spans):
        if first <= last:
            raise broken(f"networks {one} and {other} overlap", other)
    if not FIRST_VNI <= state.next_vni <= LAST_VNI:
        raise broken(f"the next VXLAN id is {state.next_vni}", "")
