"""One program runs processes and coroutines of its own, side by side."""

import asyncio
from pathlib import Path

import skep
from skep.ports.link import LineSelector
from skep.runtime.task_addresses import TaskAddresses
from skep_adapters.process.executor import ProcessExecutor


async def test_what_is_not_bound_is_a_process(tmp_path: Path) -> None:
    addresses = TaskAddresses()
    images = skep.Images(addresses=addresses)

    @images.bind("worker")
    async def worker(task: skep.TaskContext) -> None:
        task.print(task.addr)
        await asyncio.Event().wait()

    catalog = {"shell": ["/bin/sh", "-c", "echo $SKEP_TASK_ADDR; exec sleep 1000"]}
    async with skep.Cluster.open(
        images=images,
        executor=lambda name, _number: ProcessExecutor(tmp_path / name, catalog=catalog, addresses=addresses, stop_s=0),
        nodes=2,
    ) as cluster:
        for image in ("worker", "shell"):
            await cluster.services.create(skep.service_spec(image, image, replicas=2))
        await cluster.converged()
        services = tuple(service.id for service in await cluster.services.list())
        printed: set[bytes] = set()
        async with asyncio.timeout(10):
            while len(printed) < 4:
                printed |= {each.line.data async for each in cluster.lines(LineSelector(service_ids=services))}
        pids = [task.status.container.pid for task in await cluster.tasks.list("shell") if task.status.container]
        assert all(pids)
    assert len(printed) == 4
