"""Time in the engine: a wall clock that was wrong once does not make delays longer for good."""

import anyio
from skep import Cluster, service_spec
from skep.model.ids import NANOSECONDS, Instant
from skep.model.service import RestartPolicy
from skep.runtime.simulated import Behaviour, SimulatedExecutor
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock

HOUR = 3600 * NANOSECONDS


class Jumping(VirtualClock):
    ahead = 0

    def now(self) -> Instant:
        return Instant(super().now() + self.ahead)


async def test_a_wall_clock_that_ran_an_hour_ahead_once_does_not_make_a_restart_wait_for_it() -> None:
    clock = Jumping()
    behaviours = {"fails": Behaviour(run_s=1.0, exit_code=1)}
    async with Cluster.open(
        clock=clock,
        ids=SeededIds(1),
        executor=lambda _name, _number: SimulatedExecutor(behaviours, clock=clock),
    ) as cluster:
        clock.ahead = HOUR
        node = await cluster.nodes.get("node1")
        await cluster.nodes.update(node.id, node.version, node.spec)
        clock.ahead = 0
        restart = RestartPolicy(condition="any", delay=NANOSECONDS)
        await cluster.services.create(service_spec("web", "fails", restart=restart))
        restarted = 0.0
        async for record in cluster.events():
            if record.actor.name == "restarts":
                restarted = anyio.current_time()
            if record.actor.name == "starts":
                assert anyio.current_time() - restarted < 2
                break
