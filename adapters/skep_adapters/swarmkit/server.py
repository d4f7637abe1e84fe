"""The port that Docker Engines join at: one listener, TLS, and every method of the worker protocol."""

import resource
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Protocol

import anyio
import structlog
from grpclib.config import Configuration
from grpclib.const import Handler
from skep.runtime.engine import Engine
from skep.runtime.errors import CannotListen
from skep.runtime.swarm import join_addr, split_addr

from skep_adapters.swarmkit.gathering import GatheringServer
from skep_adapters.swarmkit.gossip import passed_on
from skep_adapters.swarmkit.listener import Listener
from skep_adapters.swarmkit.methods import Unimplemented
from skep_adapters.swarmkit.serve_ca import Authority, NodeAuthority
from skep_adapters.swarmkit.serve_dispatcher import Dispatcher
from skep_adapters.swarmkit.serve_log_broker import LogBroker
from skep_adapters.swarmkit.serve_resources import ResourceAllocator
from skep_adapters.swarmkit.trust import Trust

#: Connections that wait to be taken: all agents come back at once when a manager starts again.
BACKLOG = 1024

#: Connections at a time, where the process may open twice as many files: an engine has one, or two for a moment.
CONNECTIONS_MAX = 10_000

#: What a peer may send before it is read. A connection has room for all that its streams have, a hundred at a time: one
#: that nobody reads just now (somebody pages through lines) must not hold up the heartbeats.
STREAM_BYTES = 2**16 - 1  # the least that grpclib takes
WINDOWS = Configuration(http2_stream_window_size=STREAM_BYTES, http2_connection_window_size=101 * STREAM_BYTES)

#: As Docker does where nobody says else.
EVERYWHERE = "0.0.0.0"  # noqa: S104 - workers come from other machines

_log = structlog.get_logger("skep.swarmkit")


class Beside(Protocol):
    """What runs beside the server, for the engine that it serves."""

    async def attend(self, engine: Engine) -> None:
        """Run for as long as workers are served."""
        ...

    async def forsake(self, engine: Engine) -> None:
        """Let go whom it brought into a swarm that was left without being served."""
        ...


class _Servable(Protocol):
    def __mapping__(self) -> Mapping[str, Handler]: ...


class Offered:
    """All that is offered, as one."""

    def __init__(self, parts: Iterable[_Servable]) -> None:
        self._handlers = {path: handler for part in parts for path, handler in part.__mapping__().items()}

    def __mapping__(self) -> Mapping[str, Handler]:
        """Return every handler by its method's path."""
        return self._handlers


class WorkerPort:
    """Implements `Gate`. With `listen_addr`, host:port, workers come in there, whatever the swarm says.

    `beside` runs as long as workers are served.
    """

    def __init__(self, listen_addr: str = "", beside: Beside | None = None) -> None:
        self._listen_addr = listen_addr
        self._beside = beside

    async def forsake(self, engine: Engine) -> None:
        """Let go whom `beside` brought in."""
        if self._beside is not None:
            await self._beside.forsake(engine)

    def open(self, listen_addr: str) -> "OpenPort":
        """Listen; raises `CannotListen`."""
        host, text = split_addr(self._listen_addr or listen_addr, default_host=EVERYWHERE)
        port = int(text)
        try:
            listener = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        except OSError as error:
            raise CannotListen(f"failed to listen for workers at {join_addr(host, port)}: {error.strerror}") from None
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return OpenPort(Listener(listener, min(CONNECTIONS_MAX, files // 2)), self._beside)


class OpenPort:
    """Implements `OpenGate`."""

    def __init__(self, listener: Listener, beside: Beside | None) -> None:
        self._listener = listener
        self._beside = beside

    @property
    def addr(self) -> str:
        """Where it listens, host:port."""
        host, port = self._listener.getsockname()[:2]
        return join_addr(host, port)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    @asynccontextmanager
    async def serve(self, engine: Engine) -> AsyncIterator[None]:
        """Let workers in."""
        trust = Trust(engine, self._listener.disconnect)
        await trust.begin()
        parts = (Authority(engine), NodeAuthority(engine), Dispatcher(engine), LogBroker(engine))
        offered = Offered((*parts, ResourceAllocator(engine)))
        server = GatheringServer([offered, Unimplemented(offered.__mapping__())], trust.context, WINDOWS)
        async with anyio.create_task_group() as group:
            await server.start(sock=self._listener, backlog=BACKLOG)
            try:
                group.start_soon(trust.run)
                group.start_soon(engine.upkeep.run_keys)
                if self._beside is not None:
                    group.start_soon(self._beside.attend, engine)
                _log.info("swarmkit.listening", addr=self.addr)
                async with passed_on(engine, _own_host(engine)) if self._beside is None else nullcontext():
                    yield
            finally:
                group.cancel_scope.cancel()
                server.close()
                self._listener.disconnect()
                with anyio.CancelScope(shield=True):
                    await server.wait_closed()


def _own_host(engine: Engine) -> str:
    return engine.writer.state.nodes[engine.node_id].status.addr


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
