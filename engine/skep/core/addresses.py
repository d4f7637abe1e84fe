"""Addresses, one after another: as recorded in FACTS, chapter 9, none is used again before the range is used up."""

from skep.core.state import ClusterState
from skep.core.subnets import Ranges, text_of
from skep.model.ids import NetworkId


class _Range:
    """What one network gives."""

    def __init__(self, state: ClusterState, network_id: NetworkId) -> None:
        self.ranges = Ranges(state.networks[network_id].ranges)
        self.held = state.addresses.get(network_id, {})
        self.taken: dict[int, None] = {}
        self.cursor = state.cursors.get(network_id, 0)


class Addresses:
    """What one plan, or one decision, draws: on top of the state, which has not heard of it yet."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._ranges: dict[NetworkId, _Range] = {}

    def lacks(self, networks: list[NetworkId]) -> list[str]:
        """Return why not every one of `networks` has an address left; nothing if each has."""
        reasons: list[str] = []
        for network_id in networks:
            network = self._state.networks[network_id]
            if not network.allocated:
                reasons.append(f"network {network.spec.name} has no subnet yet")
            elif network.ranges and self._free(network_id) < networks.count(network_id):
                reasons.append(f"no address left on network {network.spec.name}")
        return reasons

    def _free(self, network_id: NetworkId) -> int:
        drawn = self._ranges.get(network_id)
        held = len(self._state.addresses.get(network_id, ())) + (len(drawn.taken) if drawn is not None else 0)
        return self._state.capacities[network_id] - held

    def draw(self, network_id: NetworkId) -> str:
        """Return the next address of a network that lacks none; empty where each node gives its own."""
        if not self._state.networks[network_id].ranges:
            return ""
        this = self._range(network_id)
        ranges, cursor = this.ranges, this.cursor
        while True:  # it ends: one is free
            number, prefix = ranges.at(cursor % ranges.size)
            cursor += 1
            if number not in this.held and number not in this.taken and number not in ranges.reserved:
                break
        this.cursor = cursor % ranges.size
        this.taken[number] = None
        return text_of(number, prefix)

    def _range(self, network_id: NetworkId) -> _Range:
        found = self._ranges.get(network_id)
        if found is None:
            found = self._ranges[network_id] = _Range(self._state, network_id)
        return found
