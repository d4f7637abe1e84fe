"""A cluster of coroutines, looked at when the block ends, and what the tests ask of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import skep
from msgspec.structs import replace
from skep.core.record import Record
from skep.model.container import ContainerSpec
from skep.model.ids import TaskId
from skep.model.service import ServiceSpec
from skep.model.states import TaskState
from skep.model.task import Task
from skep.ports.lines import Line
from skep.ports.link import LineSelector
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryStorage
from skep.testing.engine_test import assert_whole
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock


@asynccontextmanager
async def running(
    images: skep.Images | None = None, *, nodes: int = 1, storage: MemoryStorage | None = None, seed: int = 7
) -> AsyncIterator[Cluster]:
    clock = VirtualClock()
    async with Cluster.open(images=images, nodes=nodes, storage=storage, clock=clock, ids=SeededIds(seed)) as cluster:
        yield cluster
        await assert_whole(cluster)


async def lines(cluster: Cluster, service: str) -> Sequence[Line]:
    found = await cluster.services.get(service)
    return [published.line async for published in cluster.lines(LineSelector(service_ids=(found.id,)))]


async def text(cluster: Cluster, service: str) -> str:
    return b"".join(line.data for line in await lines(cluster, service)).decode()


async def task_in(cluster: Cluster, state: TaskState, task_id: TaskId | None = None) -> Task:
    """Return a task of that state as soon as there is one."""
    with anyio.fail_after(120):
        while True:
            for task in await cluster.tasks.list():
                if task.state is state and task_id in (None, task.id):
                    return task
            await asyncio.sleep(0.05)


async def record_text(cluster: Cluster) -> str:
    """Return all that the log holds, as text."""
    end = await cluster.read(lambda state: state.position)
    found: list[Record] = []
    async for record in cluster.events():
        found.append(record)
        if record.position >= end:
            break
    return repr(found)


def with_container(spec: ServiceSpec, container: ContainerSpec) -> ServiceSpec:
    return replace(spec, task_template=replace(spec.template, container_spec=container))


def container_of(spec: ServiceSpec) -> ContainerSpec:
    assert spec.template.container_spec is not None
    return spec.template.container_spec
