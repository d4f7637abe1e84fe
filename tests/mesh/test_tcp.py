"""TCP through the mesh, on real sockets."""

import asyncio
import contextlib
from collections import Counter

import pytest
from mesh_harness import echo, free_port, hear, idle, opened, task_of
from skep.model.service import PortConfig
from skep.ports.executor import TaskFailed, TaskRejected
from skep_adapters.mesh import tcp

TARGET = 3000


def published(number: int, **fields: object) -> tuple[PortConfig, ...]:
    return (PortConfig(target_port=TARGET, published_port=number, **({"protocol": "tcp"} | fields)),)  # type: ignore[arg-type]  # of one type each


async def test_connections_are_given_to_the_tasks_in_turn() -> None:
    port = free_port()
    async with opened() as swarm:
        for _ in range(3):
            await swarm.started(task_of(ports=published(port)), echo(TARGET))
        heard = Counter([await hear(port) for _ in range(9)])
    assert sorted(heard.values()) == [3, 3, 3]


async def test_bytes_pass_both_ways_and_an_end_is_passed_on() -> None:
    port, data = free_port(), bytes(range(256)) * 20_000
    async with opened() as swarm:
        await swarm.started(task_of(ports=published(port)), echo(TARGET, "hello"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def say() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, heard = await asyncio.gather(say(), reader.read(-1))
        writer.close()
        await writer.wait_closed()
    assert heard == b"hello\n" + data


async def test_who_does_not_read_holds_up_the_sender_and_not_the_memory() -> None:
    port = free_port()
    async with opened() as swarm:
        await swarm.started(task_of(ports=published(port)), echo(TARGET))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                for _ in range(1000):
                    writer.write(bytes(1_000_000))
                    await writer.drain()
        (client,) = swarm.mesh._relays.clients
        held = [side.transport.get_write_buffer_size() for side in (client, client.peer) if side and side.transport]
        assert len(held) == 2
        assert all(size <= tcp.BUFFER_BYTES + tcp.READ_BYTES for size in held)
        writer.transport.abort()


async def test_a_task_that_does_not_answer_is_passed_over() -> None:
    port = free_port()
    async with opened() as swarm:
        await swarm.started(task_of(ports=published(port)), echo(TARGET, "well"))
        ill = await swarm.started(task_of(ports=published(port)), echo(TARGET, "ill"))
        for made in list(swarm.programs.made.values())[1:]:
            assert made._task is not None
            made._task.cancel()
            await asyncio.wait({made._task})
        assert [await hear(port) for _ in range(4)] == ["well"] * 4
        await ill.remove()


async def test_where_no_task_answers_the_client_is_refused() -> None:
    port = free_port()
    async with opened() as swarm:
        await swarm.started(task_of(ports=published(port)), echo(TARGET))
        for made in swarm.programs.made.values():
            assert made._task is not None
            made._task.cancel()
            await asyncio.wait({made._task})
        assert await hear(port) == ""


async def test_a_task_that_stops_gets_nothing_new_and_ends_what_it_has() -> None:
    port = free_port()
    async with opened() as swarm:
        first = await swarm.started(task_of(ports=published(port)), echo(TARGET, "first"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"first\n"
        await swarm.started(task_of(ports=published(port)), echo(TARGET, "second"))
        stopping = asyncio.ensure_future(first.stop(10))
        await asyncio.sleep(0.1)
        assert [await hear(port) for _ in range(4)] == ["second"] * 4
        writer.write(b"still there\n")
        assert await reader.readline() == b"still there\n"
        assert not stopping.done()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(1):  # sooner than the moment that it has for connections
            await stopping
        assert [made.stopped_with for made in swarm.programs.made.values()] == [10, None]


async def test_connections_that_do_not_end_hold_up_a_stop_for_a_moment_only() -> None:
    port = free_port()
    async with opened() as swarm:
        controller = await swarm.started(task_of(ports=published(port)), echo(TARGET))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        async with asyncio.timeout(0.5):
            await controller.stop(0)
        writer.transport.abort()


async def test_a_task_that_listens_elsewhere_fails_with_a_sentence_that_says_so() -> None:
    port = free_port()
    async with opened(listen_s=0.3) as swarm:
        controller = swarm.controller(task_of(ports=published(port)), echo(free_port(), addr="127.0.0.1"))
        with pytest.raises(TaskFailed, match=rf"nothing listens at {controller._backend.addr}:3000 0.3 s after"):
            await controller.start()
        assert swarm.programs.made[controller._task.id].stopped_with == 10
        with pytest.raises(ConnectionRefusedError):
            await hear(port)


async def test_a_task_that_listens_on_every_address_is_no_task_of_its_own_address() -> None:
    port, target = free_port(), free_port()
    ports = (PortConfig(protocol="tcp", target_port=target, published_port=port),)
    async with opened(listen_s=0.3) as swarm:
        with pytest.raises(TaskFailed, match=r"something here listens at 0\.0\.0\.0, which is every address"):
            await swarm.started(task_of(ports=ports), echo(target, addr="0.0.0.0"))  # noqa: S104  # that is the rule


async def test_a_task_that_ends_badly_before_it_listens_fails_at_once() -> None:
    async def broken(_: object) -> None:
        raise ValueError

    async with opened() as swarm:
        with pytest.raises(TaskFailed, match="non-zero exit"):
            await swarm.started(task_of(ports=published(free_port())), broken)


async def test_too_many_connections_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PORT_CONNECTIONS_MAX", 2)
    port = free_port()
    async with opened() as swarm:
        await swarm.started(task_of(ports=published(port)), echo(TARGET, "hello"))
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, _ in kept:
            assert await reader.readline() == b"hello\n"
        assert await hear(port) == ""
        for _, writer in kept:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        assert await hear(port) == "hello"


async def test_a_port_is_the_service_s_that_has_it_now_whatever_still_ends() -> None:
    port = free_port()
    async with opened() as swarm:
        old = await swarm.started(task_of("old", ports=published(port)), echo(TARGET, "old"))
        await swarm.started(task_of("new", ports=published(port)), echo(TARGET, "new"))
        assert [await hear(port) for _ in range(3)] == ["new"] * 3
        await old.stop(1)
        assert await hear(port) == "new"


async def test_a_node_s_own_port_is_answered_by_its_task_and_told() -> None:
    async with opened(node=2) as swarm:
        task = task_of(ports=published(0, publish_mode="host"))
        controller = await swarm.started(task, echo(TARGET, "mine"))
        (port,) = controller.ports
        assert await hear(port.published_port, swarm.executor._node[0]) == "mine"
        other = swarm.controller(task_of(ports=published(port.published_port, publish_mode="host")), idle)
        with pytest.raises(TaskFailed, match="cannot be opened: another task here has it"):
            await other.start()


async def test_what_an_executor_that_is_closed_had_is_free_again() -> None:
    port = free_port()
    async with opened() as swarm:
        before = swarm.mesh.addresses.taken
        await swarm.started(task_of(ports=published(port)), echo(TARGET))
        await swarm.executor.aclose()
        assert swarm.mesh.addresses.taken == before
        with pytest.raises(ConnectionRefusedError):
            await hear(port)


async def test_a_port_of_another_protocol_is_rejected() -> None:
    async with opened() as swarm:
        controller = swarm.controller(task_of(ports=published(9, protocol="sctp")), idle)
        with pytest.raises(TaskRejected, match="over TCP and UDP only"):
            await controller.prepare()


async def test_two_meshes_of_one_machine_give_different_addresses() -> None:
    async with opened() as one, opened() as other:
        assert one.mesh.addresses.give("task") != other.mesh.addresses.give("task")
