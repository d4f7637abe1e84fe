"""Names of services, asked with a real resolver."""

import asyncio
import socket

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
from mesh_harness import Swarm, idle, network, opened, task_of
from skep.ports.link import AssignedNetwork
from skep_adapters.mesh.mesh import Mesh
from skep_adapters.mesh.name_server import NameServer

FRONT, BACK = network("front"), network("back")


def on(*networks: AssignedNetwork) -> dict[str, tuple[AssignedNetwork, ...]]:
    return {"networks": networks}


async def ask(server: str, name: str, kind: str = "A") -> tuple[str, list[str]]:
    host, _, port = server.partition(":")
    query = dns.message.make_query(name, kind)
    reply, _ = await dns.asyncquery.udp_with_fallback(query, host, port=int(port), timeout=5)
    return dns.rcode.to_text(reply.rcode()), [each.to_text() for rrset in reply.answer for each in rrset]


def server_of(mesh: Mesh, swarm: Swarm, *networks: AssignedNetwork) -> str:
    assert mesh is swarm.mesh
    return mesh.name_server(task_of("asker", **on(*networks)))


async def test_a_service_is_found_by_name_alias_and_host_name_on_a_network_that_is_shared() -> None:
    async with opened() as swarm:
        task = task_of("web", hostname="Lobby", **on(AssignedNetwork(FRONT, aliases=("shop",))))
        controller = await swarm.started(task, idle)
        server = server_of(swarm.mesh, swarm, AssignedNetwork(FRONT))
        for name in ("web", "WEB.", "tasks.web", "shop", "lobby", task.name):
            assert await ask(server, name) == ("NOERROR", [controller._backend.addr]), name
        assert await ask(server, "web", "AAAA") == ("NOERROR", [])
        assert await ask(server, "db") == ("NXDOMAIN", [])


async def test_a_name_of_another_network_is_unknown() -> None:
    async with opened() as swarm:
        await swarm.started(task_of("web", **on(AssignedNetwork(FRONT))), idle)
        both = server_of(swarm.mesh, swarm, AssignedNetwork(BACK), AssignedNetwork(FRONT))
        assert (await ask(both, "web"))[0] == "NOERROR"
        assert await ask(server_of(swarm.mesh, swarm, AssignedNetwork(BACK)), "web") == ("NXDOMAIN", [])
        assert await ask(server_of(swarm.mesh, swarm), "web") == ("NXDOMAIN", [])


async def test_the_network_of_ports_and_those_of_the_machine_know_no_names() -> None:
    shared = (AssignedNetwork(network("ingress", ingress=True)), AssignedNetwork(network("host")))
    async with opened() as swarm:
        await swarm.started(task_of("web", **on(*shared)), idle)
        assert await ask(server_of(swarm.mesh, swarm, *shared), "web") == ("NXDOMAIN", [])


async def test_only_tasks_that_run_are_found() -> None:
    async with opened() as swarm:
        shared = AssignedNetwork(FRONT)
        server = server_of(swarm.mesh, swarm, shared)
        waiting = swarm.controller(task_of("web", **on(shared)), idle)
        await waiting.prepare()
        assert (await ask(server, "web"))[0] == "NXDOMAIN"
        await waiting.start()
        assert (await ask(server, "web"))[0] == "NOERROR"
        await waiting.stop(1)
        assert (await ask(server, "web"))[0] == "NXDOMAIN"


async def test_another_task_is_the_first_each_time() -> None:
    async with opened() as swarm:
        shared = AssignedNetwork(FRONT)
        for _ in range(3):
            await swarm.started(task_of("web", **on(shared)), idle)
        server = server_of(swarm.mesh, swarm, shared)
        answers = [(await ask(server, "web"))[1] for _ in range(3)]
        assert len({each[0] for each in answers}) == 3
        assert len({tuple(sorted(each)) for each in answers}) == 1


async def test_an_answer_that_is_too_long_for_a_datagram_is_had_over_tcp() -> None:
    server = NameServer("127.0.0.1", lambda _: [f"127.100.{n // 250}.{n % 250 + 1}" for n in range(1000)])
    await server.serve()
    try:
        assert len((await ask(server.addr, "web"))[1]) == 1000
    finally:
        server.close()


async def test_what_is_no_question_is_not_answered_and_harms_nothing() -> None:
    loop = asyncio.get_running_loop()
    server = NameServer("127.0.0.1", lambda _: ["127.100.0.1"])
    host, _, port = server.addr.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        query = dns.message.make_query("web", "A").to_wire()
        for junk in (b"", b"\0", b"x" * 600, query[:-1], query[:2] + b"\x80" + query[3:]):
            await loop.sock_sendto(sock, junk, (host, int(port)))
    assert (await ask(server.addr, "web"))[1] == ["127.100.0.1"]
    server.close()


async def test_a_server_is_kept_as_long_as_a_task_was_told_of_it() -> None:
    async with opened() as swarm:
        task = task_of("web", **on(AssignedNetwork(FRONT)))
        controller = await swarm.started(task, idle)
        assert len(swarm.mesh._servers) == 1
        await controller.stop(0)
        await controller.remove()
        assert not swarm.mesh._servers
        assert swarm.mesh.addresses.taken == 1  # the servers' own
