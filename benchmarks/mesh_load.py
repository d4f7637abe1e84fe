"""What `mesh.py` runs in processes of their own: a task that answers (`serve`), and who asks it (`ask`).

The answer is a small one over HTTP/1.1, written and read as plainly as asyncio allows, so that what is measured is what
lies between the two.

    mesh_load.py serve
    mesh_load.py ask HOST PORT CONNECTIONS SECONDS RATE FRESH

`RATE` is questions a second over all connections, 0: as many as there is room for; `FRESH` 1 takes a new connection for
each question. `ask` prints a JSON object: `rate`, and `waits`, in seconds.
"""

import asyncio
import gc
import json
import os
import sys
import time

PORT = 3000
QUESTION = b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + b"x" * 64


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


class _Asking(asyncio.Protocol):
    def __init__(self) -> None:
        self._missing = 0
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if not self._missing and self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._missing and self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the answer is not whole"))

    async def ask(self) -> None:
        self._missing = len(ANSWER)
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(QUESTION)
        await self._answered


async def serve() -> None:
    """Answer at the task's address."""
    server = await asyncio.get_running_loop().create_server(
        _Answering, os.environ["SKEP_TASK_ADDR"], PORT, backlog=1024
    )
    await server.serve_forever()


async def ask(host: str, port: int, connections: int, seconds: float, rate: float, *, fresh: bool) -> None:
    """Ask for so long, and print how that went."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    began = loop.time() + 0.1
    until = began + seconds

    async def client(number: int) -> None:
        period = connections / rate if rate else 0.0
        turn = began + period * number / connections
        _, protocol = await loop.create_connection(_Asking, host, port)
        while turn < until and loop.time() < until:
            await asyncio.sleep(max(0.0, turn - loop.time()) if rate else 0)
            start = time.perf_counter()
            if fresh:
                protocol.transport.close()
                _, protocol = await loop.create_connection(_Asking, host, port)
            await protocol.ask()
            waits.append(time.perf_counter() - start)
            turn += period
        protocol.transport.close()

    gc.disable()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(client(number))
    print(json.dumps({"rate": len(waits) / (loop.time() - began), "waits": waits}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve())
    else:
        host, port, connections, seconds, rate, fresh = sys.argv[2:]
        asyncio.run(ask(host, int(port), int(connections), float(seconds), float(rate), fresh=fresh == "1"))
