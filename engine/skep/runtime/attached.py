"""What an agent was told of its node's own addresses on networks: tasks on these follow it, and not at once.

An engine hears of both by streams of their own. A task that it begins before it knows its node's address on one of the
task's networks fails: "failed to find a load balancer IP to use for network".
"""

import asyncio
from collections.abc import Collection, Iterable

import anyio

from skep.model.ids import NetworkId

#: An engine takes up what it was told within milliseconds. SwarmKit gathers assignments for as long before it sends.
SETTLES_S = 0.1

#: A network that has no address left for the node is waited for no longer: the task says so by itself.
WAIT_S_MAX = 5.0


class Attached:
    """The networks on which an agent knows its node's address, and since when."""

    def __init__(self) -> None:
        self._since: dict[NetworkId, float] = {}
        self._changed = asyncio.Event()

    def told(self, networks: Iterable[NetworkId]) -> None:
        """Note that the agent is told of these, and of no others."""
        now = anyio.current_time()
        self._since = {network_id: self._since.get(network_id, now) for network_id in networks}
        self._changed.set()
        self._changed = asyncio.Event()

    async def known(self, networks: Collection[NetworkId]) -> None:
        """Return when the agent knows of all of these, or it is no use to wait."""
        with anyio.move_on_after(WAIT_S_MAX):
            while any(network_id not in self._since for network_id in networks):
                await self._changed.wait()
            if networks:
                latest = max(self._since[network_id] for network_id in networks)
                await anyio.sleep(max(0.0, latest + SETTLES_S - anyio.current_time()))
