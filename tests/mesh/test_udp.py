"""UDP through the mesh, on real sockets."""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping

from mesh_harness import Program, Swarm, free_port, opened, task_of
from skep.model.service import PortConfig
from skep_adapters.mesh.rotation import Backend, Rotation
from skep_adapters.mesh.udp import UdpPort

TARGET = 5353


def answering(word: str) -> Program:
    async def run(env: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind((env["SKEP_TASK_ADDR"], TARGET))
            while True:
                data, client = await loop.sock_recvfrom(sock, 65535)
                await loop.sock_sendto(sock, word.encode() + b" " + data, client)

    return run


class Client:
    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(("127.0.0.1", port))

    async def ask(self, word: str) -> str:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            await loop.sock_sendall(self._sock, word.encode())
            return (await loop.sock_recv(self._sock, 65535)).decode()

    def close(self) -> None:
        self._sock.close()


async def _two(swarm: Swarm, port: int) -> None:
    ports = (PortConfig(protocol="udp", target_port=TARGET, published_port=port),)
    for word in ("one", "two"):
        await swarm.started(task_of(ports=ports), answering(word))


async def test_a_client_stays_with_its_task_and_clients_are_given_in_turn() -> None:
    port = free_port(socket.SOCK_DGRAM)
    async with opened() as swarm:
        await _two(swarm, port)
        clients = [Client(port) for _ in range(4)]
        heard = [[(await client.ask("hello")).split()[0] for _ in range(3)] for client in clients]
        for client in clients:
            client.close()
    assert all(len(set(words)) == 1 for words in heard)
    assert Counter(words[0] for words in heard) == {"one": 2, "two": 2}


async def test_a_client_whose_task_stops_goes_on_with_another() -> None:
    port = free_port(socket.SOCK_DGRAM)
    ports = (PortConfig(protocol="udp", target_port=TARGET, published_port=port),)
    async with opened() as swarm:
        first = await swarm.started(task_of(ports=ports), answering("one"))
        client = Client(port)
        assert await client.ask("a") == "one a"
        await swarm.started(task_of(ports=ports), answering("two"))
        await first.stop(1)
        assert await client.ask("b") == "two b"
        client.close()


async def test_flows_are_bounded_and_the_silent_ones_are_forgotten() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        rotation = Rotation()
        rotation.add(Backend("task", "127.0.0.1"), server.getsockname()[1])
        port = UdpPort(rotation, flows_max=2, idle_s=0.2)
        listening = UdpPort.bind("127.0.0.1", 0)
        await port.serve([listening])
        clients = [Client(listening.getsockname()[1]) for _ in range(5)]
        for client in clients:
            await loop.sock_sendall(client._sock, b"hello")
            await loop.sock_recv(server, 100)
        assert port.flows == 2
        await asyncio.sleep(0.5)
        assert port.flows == 0
        port.close()
        for client in clients:
            client.close()
