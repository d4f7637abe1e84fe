"""Many tasks: started together, and one after another without a trace."""

# ruff: noqa: ASYNC240  # a test may look at the disk by itself

import asyncio
import os
import time
from pathlib import Path

from process_harness import Cluster, new_marker, running, shell, until_gone, with_marker
from skep.model.container import ContainerSpec


async def test_two_hundred_tasks_start_together_and_end_together(tmp_path: Path) -> None:
    marker = new_marker()
    async with running(tmp_path) as cluster:
        began = time.monotonic()
        spec = ContainerSpec(command=("/bin/sleep", marker))
        controllers = await asyncio.gather(*(cluster.started(spec, slot=slot) for slot in range(1, 201)))
        assert time.monotonic() - began < 10  # 1 s on two idle cores; others run here too
        assert len(with_marker(marker)) == 200
        await asyncio.gather(*(controller.stop(5) for controller in controllers))
        await until_gone(marker, 0.01)


async def test_a_hundred_tasks_leave_no_file_open(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await one_of_each(cluster)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # as the kernel lists them
        supervisor = cluster.executor._supervision._process
        assert supervisor is not None
        theirs = Path(f"/proc/{supervisor.pid}/fd")
        before_theirs = len(list(theirs.iterdir()))
        for _ in range(5):
            await asyncio.gather(*(one_of_each(cluster) for _ in range(10)))
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  # as above
        assert len(list(theirs.iterdir())) == before_theirs
        assert not cluster.executor._controllers


async def one_of_each(cluster: Cluster) -> None:
    """Run a task that ends and one that never starts."""
    good = await cluster.started(shell("echo hello"))
    await good.wait()
    await good.remove()
    bad = cluster.controller(ContainerSpec(command=("nosuch",)))
    await bad.prepare()
    await asyncio.gather(bad.start(), return_exceptions=True)
    await bad.remove()
