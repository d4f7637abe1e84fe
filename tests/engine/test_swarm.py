"""The swarm itself: what it says of the manager's address."""

import pytest
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryStorage
from skep.testing.virtual import VirtualClock


@pytest.mark.parametrize(
    ("given", "host", "manager"),
    [
        ("", "127.0.0.1", "127.0.0.1:2377"),
        ("192.168.77.11", "192.168.77.11", "192.168.77.11:2377"),
        ("192.168.77.11:0", "192.168.77.11", "192.168.77.11:0"),
        ("192.168.77.11:4000", "192.168.77.11", "192.168.77.11:4000"),
        ("fd00::1", "fd00::1", "[fd00::1]:2377"),
        ("[fd00::1]:4000", "fd00::1", "[fd00::1]:4000"),
    ],
)
async def test_a_manager_has_the_address_and_port_that_it_was_advertised_with(
    given: str, host: str, manager: str
) -> None:
    storage = MemoryStorage()
    async with Cluster.open(storage=storage, clock=VirtualClock(), init=False) as cluster:
        await cluster.swarm.init(advertise_addr=given)
        await cluster.converged()
        (node,) = await cluster.nodes.list()
        assert node.manager is not None
        assert (node.status.addr, node.manager.addr, cluster.advertise_addr) == (host, manager, host)
    async with Cluster.open(storage=storage, clock=VirtualClock(), init=False) as cluster:
        await cluster.converged()
        assert cluster.advertise_addr == host
        assert (await cluster.nodes.list())[0].status.addr == host
        await cluster.swarm.leave(force=True)
        assert cluster.advertise_addr == "127.0.0.1"
