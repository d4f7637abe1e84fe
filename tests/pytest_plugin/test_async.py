"""The swarm of a test, asked by programs with loops of their own."""

import asyncio

import aiodocker
from skep_adapters.pytest_plugin.swarm import Swarm


async def test_aiodocker_finds_the_swarm(skep_swarm: Swarm) -> None:
    async with aiodocker.Docker() as docker:
        await docker.services.create({"ContainerSpec": {"Image": "app:1"}}, name="web")
        skep_swarm.settle()
        skep_swarm.fail("web.1")
        skep_swarm.settle()
        tasks = await docker.tasks.list(filters={"service": "web"})
        assert sorted(task["Status"]["State"] for task in tasks) == ["failed", "running"]


async def test_the_cluster_is_asked_without_holding_the_loop(skep_swarm: Swarm) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    # the swarm is at rest, and half a second of its time is no time
    await skep_swarm.ask_async(lambda cluster: cluster.converged())
    nodes = await skep_swarm.ask_async(lambda cluster: cluster.nodes.list())
    ticking.cancel()
    assert (len(nodes), ticks > 0) == (1, True)
