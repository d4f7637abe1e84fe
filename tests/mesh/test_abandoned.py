"""A coroutine that cannot be ended keeps its address, and is given nothing any more."""

import asyncio
from collections.abc import Sequence

import pytest
from mesh_harness import task_of
from skep.ports.executor import TaskFailed
from skep.ports.lines import Line
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.coroutines.executor import CoroutineExecutor
from skep.runtime.coroutines.images import Images
from skep.runtime.sources import SystemClock
from skep_adapters.mesh.mesh import Mesh


async def _keep(_task_id: str, _lines: Sequence[Line]) -> None:
    return


async def test_a_task_that_goes_on_after_its_stop_keeps_its_address() -> None:
    async with Mesh.open() as mesh:
        images = Images(addresses=mesh.addresses)
        began, release = asyncio.Event(), asyncio.Event()

        @images.bind("none")
        async def deaf(_: TaskContext) -> None:
            began.set()
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        plain = CoroutineExecutor(images, clock=SystemClock(), stop_s=0)
        executor = mesh.over(lambda _name, _number: plain)("node", 1)
        assert executor is not None
        await executor.open(_keep)
        task = task_of()
        controller = executor.controller(task, secrets={}, configs={})
        await controller.prepare()
        await controller.start()
        await began.wait()
        with pytest.raises(TaskFailed):
            await controller.stop(0.1)
        await controller.remove()
        kept = mesh.addresses.taken
        release.set()
        async with asyncio.timeout(5):
            while mesh.addresses.taken == kept:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.01)
        assert mesh.addresses.taken == kept - 1
        await executor.aclose()
