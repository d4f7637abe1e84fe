"""The gossip seed: engines look for each other at their managers' addresses, port 7946, and no gossip is spoken here.

What comes in from an engine's address is passed on to another engine that lives. From it the caller learns of all
others, and then they talk to each other. Where there is no other, the connection is closed, and the caller asks again
in a minute. An engine on the manager's own address is the seed itself, and nothing is passed on. Whoever is no engine
of the swarm is led nowhere, and takes no engine's place.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import structlog
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup
from skep.core.state import ClusterState
from skep.model.states import NodeState
from skep.runtime.engine import Engine

PORT = 7946

#: A push and pull of all members takes milliseconds; what takes longer is no gossip.
TALK_S = 30.0

CONNECT_S = 5.0

#: A caller waits so long for another engine that lives; it asks again.
FIND_S = 15.0

#: Callers at a time: each engine asks once a minute.
CALLERS_MAX = 256

CHUNK_BYTES = 64 * 1024

#: Where no caller can be taken (no file is left to this process), it is tried again after so long.
ACCEPT_AGAIN_S = 1.0

_log = structlog.get_logger("skep.swarmkit")


@asynccontextmanager
async def passed_on(engine: Engine, host: str) -> AsyncIterator[None]:
    """Pass gossip on at `host` for as long as the context lasts; without, if the port is taken."""
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=PORT)
    except OSError as error:
        _log.warning("swarmkit.no_gossip_seed", addr=f"{host}:{PORT}", reason=str(error))
        yield
        return
    callers = anyio.Semaphore(CALLERS_MAX)

    async def serve(caller: SocketStream) -> None:
        async with caller:
            if not _is_member(engine.writer.state, _whence(caller)):
                return
            with contextlib.suppress(anyio.WouldBlock):
                callers.acquire_nowait()
                try:
                    await _serve(engine, caller)
                finally:
                    callers.release()

    async with listener, anyio.create_task_group() as group:
        for each in listener.listeners:
            group.start_soon(_accept, each, serve, group)
        yield
        group.cancel_scope.cancel()


async def _accept(
    listener: Listener[SocketStream], serve: Callable[[SocketStream], Awaitable[None]], group: TaskGroup
) -> None:
    """Take callers, until cancelled; one that cannot be taken is no reason to take no other."""
    while True:
        try:
            await listener.serve(serve, group)
        except OSError as error:
            _log.warning("swarmkit.no_caller_taken", reason=str(error), again_s=ACCEPT_AGAIN_S)
            await anyio.sleep(ACCEPT_AGAIN_S)


async def _serve(engine: Engine, caller: SocketStream) -> None:
    others = _living(engine.writer.state, _whence(caller))
    random.shuffle(others)  # any of them does; not always the same one
    other = None
    with anyio.move_on_after(FIND_S):
        other = await _reached(others)
    if other is None:
        return
    async with other:
        with anyio.move_on_after(TALK_S), contextlib.suppress(OSError, anyio.BrokenResourceError):
            await asyncio.gather(_pipe(caller, other), _pipe(other, caller))


def _whence(caller: SocketStream) -> str:
    """Return the address that a caller has; empty if it has gone already."""
    peer = caller.extra(SocketAttribute.remote_address, None)  # noqa: S610 - this is no query
    return str(peer[0]) if peer is not None else ""


async def _reached(addrs: list[str]) -> SocketStream | None:
    """Return a connection to the first of these engines that answers; None if none does."""
    for addr in addrs:
        with contextlib.suppress(OSError, TimeoutError), anyio.fail_after(CONNECT_S):
            return await anyio.connect_tcp(addr, PORT)
    return None


async def _pipe(source: SocketStream, target: SocketStream) -> None:
    with contextlib.suppress(anyio.EndOfStream, anyio.ClosedResourceError):
        while True:
            await target.send(await source.receive(CHUNK_BYTES))
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await target.send_eof()


def _is_member(state: ClusterState, whence: str) -> bool:
    """Whether an engine of the swarm has this address: that is the one by which it reaches the manager."""
    return any(node.certified and node.status.addr == whence for node in state.nodes.values()) and bool(whence)


def _living(state: ClusterState, whence: str) -> list[str]:
    """Return the addresses of the engines that are heard, but for the caller's."""
    addrs = (n.status.addr for n in state.nodes.values() if n.certified and n.status.state is NodeState.READY)
    return [addr for addr in dict.fromkeys(addrs) if addr and addr != whence]
