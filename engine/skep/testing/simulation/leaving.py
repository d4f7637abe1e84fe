"""The end of a swarm: it is left for good, whatever crashes meanwhile, and nothing follows in its log."""

from skep.core.record import Actor
from skep.runtime.cluster import Cluster
from skep.runtime.recovery import state_at
from skep.testing.simulation.always import Failed
from skep.testing.simulation.world import World

#: A crash keeps a swarm from being left once.
TRIES = 3


async def leave(world: World, person: Actor) -> None:
    """Have a person leave the swarm, again and again until it is left; then no engine starts on its log.

    Raises:
        Failed: there is a swarm where one was left, or none where nothing was.
    """
    if world.random.random() < 1 / 2:
        world.disk.crash_at = world.random.choice(("before", "after"))
    for _ in range(TRIES):
        if await _is_left(world):
            break
        await world.run(lambda cluster: _leave(cluster, person))
        world.note("swarm-left" if await _is_left(world) else "swarm-not-left-by-a-crash")
    if not await _is_left(world):
        raise Failed("the swarm cannot be left")
    async with Cluster.open(storage=world.disk, init=False, clock=world.clock, ids=world.ids) as cluster:
        if cluster.active:
            raise Failed("an engine runs a swarm that was left")


async def _leave(cluster: Cluster, person: Actor) -> None:
    await cluster.swarm.leave(force=True, actor=person)
    if cluster.active:
        raise Failed("the swarm was left, and its engine runs")


async def _is_left(world: World) -> bool:
    store = await world.disk.latest()
    if store is None:
        return False
    head = await store.log.head()
    return (await state_at(store.log, None, head.position)).left
