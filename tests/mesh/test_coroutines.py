"""Coroutines of the program are reached as processes are."""

import asyncio
from collections import Counter

import skep
from mesh_harness import free_port, hear
from msgspec.structs import replace
from skep.model.service import EndpointSpec, PortConfig
from skep.runtime.coroutines.context import TaskContext
from skep_adapters.mesh.mesh import Mesh


async def test_coroutines_answer_at_a_published_port_in_turn() -> None:
    port = free_port()
    async with Mesh.open() as mesh, skep.Cluster.open(nodes=2, mesh=mesh) as cluster:

        @cluster.image("greeter")
        async def greet(task: TaskContext) -> None:
            async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(f"{task.name}\n".encode())
                writer.close()

            assert task.env["SKEP_TASK_ADDR"] == task.addr
            async with await asyncio.start_server(serve, task.addr, 3000) as server:
                await server.serve_forever()

        ports = (PortConfig(protocol="tcp", target_port=3000, published_port=port),)
        spec = replace(skep.service_spec("greet", "greeter", replicas=3), endpoint_spec=EndpointSpec(ports=ports))
        await cluster.services.create(spec)
        await cluster.converged("greet")
        heard = Counter([await hear(port) for _ in range(9)])
        assert sorted(heard.values()) == [3, 3, 3]
