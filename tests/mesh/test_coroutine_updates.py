"""Coroutines of the program in the mesh: through an update, and where one is refused."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import skep
from mesh_harness import free_port, hear
from msgspec.structs import replace
from skep.model.ids import NANOSECONDS
from skep.model.service import PortConfig, UpdateConfig
from skep_adapters.mesh.mesh import Mesh


def answering(word: str) -> Callable[[skep.TaskContext], Coroutine[Any, Any, None]]:
    async def serve(task: skep.TaskContext) -> None:
        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{word} {task.slot} {task.addr}\n".encode())
            writer.close()
            await writer.wait_closed()

        assert task.env["SKEP_DNS"]
        async with await asyncio.start_server(answer, task.addr, 8000) as server:
            await server.serve_forever()

    return serve


async def test_a_published_port_is_answered_by_all_in_turn_and_through_an_update_without_a_loss() -> None:
    port = free_port()
    images = skep.Images()
    images.bind("web:v1")(answering("old"))
    images.bind("web:v2")(answering("new"))
    rolling = UpdateConfig(parallelism=1, order="start-first", monitor=NANOSECONDS // 10)
    spec = skep.service_spec(
        "web",
        "web:v1",
        replicas=3,
        ports=[PortConfig(target_port=8000, published_port=port)],
        update=rolling,
        stop_grace_s=1,
    )
    async with Mesh.open() as mesh, skep.Cluster.open(nodes=3, images=images, mesh=mesh) as cluster:
        await cluster.services.create(spec)
        await cluster.converged("web")
        answers = [await hear(port) for _ in range(6)]
        assert {answer.split()[1] for answer in answers} == {"1", "2", "3"}
        assert len({answer.split()[2] for answer in answers}) == 3

        web = await cluster.services.get("web")
        container = spec.template.container_spec
        assert container is not None
        newer = replace(spec.template, container_spec=replace(container, image="web:v2"))
        await cluster.services.update(web.id, web.version, replace(spec, task_template=newer))
        words = set()
        async with asyncio.timeout(60):
            while words != {"new"}:
                words = {(await hear(port)).split(" ")[0] for _ in range(6)}
                assert words <= {"old", "new"}, "no request is lost"
                await asyncio.sleep(0.01)
        await cluster.converged("web")


async def test_an_image_that_is_not_bound_keeps_no_address_of_the_mesh() -> None:
    images = skep.Images()
    images.bind("web")(answering("web"))
    async with Mesh.open() as mesh, skep.Cluster.open(images=images, mesh=mesh) as cluster:
        before = len(mesh.addresses._given)
        service = await cluster.services.create(skep.service_spec("web", "nosuch"))
        async with asyncio.timeout(10):
            while not any(task.status.err for task in await cluster.tasks.list("web")):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        await cluster.services.remove(service)
        await cluster.gone(service)
        await asyncio.sleep(0.1)
        assert len(mesh.addresses._given) == before
