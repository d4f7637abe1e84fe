"""The server: sockets, versions, headers, errors, limits. What is asked is answered by the handlers of `routes`."""

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import structlog
from aiohttp import web
from anyio.abc import SocketAttribute
from skep.model.service import ServiceSpec
from skep.ports.registry import Registry
from skep.ports.volumes import Volumes
from skep.version import VERSION

from skep_adapters.docker_api import passthrough, routes
from skep_adapters.docker_api.answers import error_answer
from skep_adapters.docker_api.api_versions import before, older
from skep_adapters.docker_api.backend import Backend
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.connections import Connections
from skep_adapters.docker_api.errors import PAGE_NOT_FOUND, as_api_error
from skep_adapters.docker_api.expectations import expects_what_nobody_does
from skep_adapters.docker_api.http_request import HEADERS, PEER
from skep_adapters.docker_api.loopback import LOOPBACK, from_a_page, is_loopback
from skep_adapters.docker_api.passthrough_engine import EngineUnreachable, LocalEngine, local_engine
from skep_adapters.docker_api.render_system import API_MIN
from skep_adapters.docker_api.rendered_specs import RenderedSpecs
from skep_adapters.docker_api.tls import Certificates, TlsFront
from skep_adapters.docker_api.unix_socket import claimed

#: A request's line holds filters, a field of its head registry credentials.
LINE_BYTES_MAX = 64 * 1024
FIELDS_MAX = 100

#: A connection on which nothing is asked is closed after so long.
IDLE_TIMEOUT_S = 75.0

#: How long requests that are being answered may go on when the server closes; streams end at once.
CLOSE_TIMEOUT_S = 5.0

_VERSIONED = re.compile(r"/v([0-9]{1,4}(?:\.[0-9]{1,4})*)(/.*)")
_LOG = structlog.get_logger("skep.docker_api")


class DockerApi:
    """The Docker Engine API over a cluster, for the docker CLI and Docker's SDKs.

    `api_max` is the newest version that is spoken; `hostname` is what `info` calls this engine. `unsupported` names the
    fields of a service's spec that have no effect with the executors of the cluster: the client is warned of them.

    `engine` is the unix socket of the Docker Engine on this machine: everything outside the swarm is passed on to it.
    `registry` says what images are where no engine can be asked. `volumes` are the machine's, where no engine has them.
    Clients are given `patience` times the usual time to say what they want: in a loop whose time flies, a second may be
    no time for them.
    """

    def __init__(
        self,
        cluster: Backend,
        *,
        api_max: str = "1.44",
        hostname: str = "",
        unsupported: Callable[[ServiceSpec], Sequence[str]] | None = None,
        engine: Path | None = None,
        registry: Registry | None = None,
        volumes: Volumes | None = None,
        patience: float = 1.0,
    ) -> None:
        self._patience = patience
        self._unsupported = unsupported
        self._engine = engine
        self._registry = registry
        self._specs = RenderedSpecs()
        self._volumes = volumes
        self._cluster = cluster
        self._api_max = api_max
        self._hostname = hostname

    @asynccontextmanager
    async def serve_unix(self, path: str | Path, *, mode: int = 0o660) -> AsyncIterator[None]:
        """Serve on a unix socket at `path` for as long as the context lasts.

        Raises:
            SocketInUse: a server answers there already, or something that is no socket lies there.
        """
        with claimed(Path(path), mode=mode) as listener:
            async with self._running() as runner:
                await web.SockSite(runner, listener).start()
                yield

    @asynccontextmanager
    async def serve_tcp(self, host: str, port: int, certificates: Certificates | None) -> AsyncIterator[int]:
        """Serve on TCP for as long as the context lasts; yield the port, which is chosen if `port` is 0.

        With `certificates` clients have to show one. Without, `host` has to be a loopback address: everybody on the
        machine can command the server, but no web page that somebody there looks at.

        Raises:
            OSError: nothing can listen there, or a certificate cannot be read.
            ValueError: without certificates elsewhere than on loopback.
        """
        if certificates is None and not is_loopback(host):
            raise ValueError(f"{host}: without certificates the API is served on loopback only")
        async with AsyncExitStack() as stack:
            runner = await stack.enter_async_context(self._running())
            server = runner.server
            assert isinstance(server, Connections)  # noqa: S101 - it is what `_server` made
            if certificates is None:
                plain = await asyncio.get_running_loop().create_server(lambda: server.talking_to(LOOPBACK), host, port)
                stack.callback(plain.close)
                yield plain.sockets[0].getsockname()[1]
                return
            front = TlsFront(certificates.context(), server.talking_to)
            listener = await stack.enter_async_context(
                await anyio.create_tcp_listener(local_host=host, local_port=port)
            )
            group = await stack.enter_async_context(anyio.create_task_group())
            front.attend_all(listener.listeners, group)
            yield listener.extra_attributes[SocketAttribute.local_port]()
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[web.ServerRunner]:
        closing = asyncio.Event()
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(local_engine(self._engine)) if self._engine is not None else None
            runner = web.ServerRunner(self._server(closing, engine), shutdown_timeout=CLOSE_TIMEOUT_S)
            await runner.setup()
            try:
                yield runner
            finally:
                closing.set()
                await runner.cleanup()

    def _server(self, closing: asyncio.Event, engine: LocalEngine | None) -> Connections:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._answer(request, closing, engine)

        return Connections(
            answer,
            access_log=None,
            logger=logging.getLogger("skep.docker_api"),
            auto_decompress=False,
            keepalive_timeout=self._patience * IDLE_TIMEOUT_S,
            patience=self._patience,
            tcp_keepalive=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=FIELDS_MAX,
        )

    async def _answer(
        self, request: web.BaseRequest, closing: asyncio.Event, engine: LocalEngine | None
    ) -> web.StreamResponse:
        """Answer a request; whatever goes wrong is answered too, unless an answer has begun."""
        headers = request[HEADERS] = {"Server": f"skep/{VERSION} (linux)"}
        if request[PEER] == LOOPBACK and from_a_page(request.headers):
            return error_answer("no web page may ask this server", 403)
        if expects_what_nobody_does(request):
            return web.Response(status=417)
        version, path = _split(request.path)
        found = routes.find(request.method, path, engine=engine is not None)
        if found is None:
            return error_answer(PAGE_NOT_FOUND, 404)
        handler, args = found
        spoken = older(self._api_max, engine.api_version if engine is not None else "")
        headers |= {"Api-Version": spoken, "Ostype": "linux"}
        if (refusal := _refusal(version, spoken)) is not None:
            return refusal
        headers["Docker-Experimental"] = "false"
        call = Call(
            request,
            self._cluster,
            args,
            api_max=self._api_max,
            spoken=version or spoken,
            hostname=self._hostname or self._cluster.hostname,
            closing=closing,
            unsupported=self._unsupported,
            engine=engine,
            registry=self._registry,
            specs=self._specs,
            volumes=self._volumes,
            peer=request[PEER],
            patience=self._patience,
        )
        alone = not (self._cluster.active or self._cluster.locked)
        try:
            if engine is not None and alone and routes.answered_by_engine(path):
                with suppress(EngineUnreachable):
                    return await passthrough.forward(call)
            return await handler(call)
        except Exception as error:
            if request.writer.output_size:
                raise  # half an answer is out: the connection ends, and the client sees that
            return _told(error, request)


def _refusal(version: str, newest: str) -> web.Response | None:
    """Return why a version of the API is not spoken; None if it is, or none was said."""
    if before(newest, version):
        return error_answer(f"client version {version} is too new. Maximum supported API version is {newest}", 400)
    if before(version, API_MIN):
        # clients that old expect plain text (recorded)
        why = f"client version {version} is too old. Minimum supported API version is {API_MIN}, "
        return web.Response(text=why + "please upgrade your client to a newer version\n", status=400)
    return None


def _told(error: Exception, request: web.BaseRequest) -> web.Response:
    """Return the answer to a request that failed; what nobody expected is logged with its story."""
    known = as_api_error(error)
    if known is None:
        # as text, without the values of variables: they may hold a secret (design, rule 8)
        story = "".join(traceback.format_exception(error))
        _LOG.error("request failed", method=request.method, path=request.path, story=story)
        return error_answer(f"skep failed to answer: {type(error).__name__}; its log says more", 500)
    return error_answer(str(known), known.status)


def _split(path: str) -> tuple[str, str]:
    """Return the version that a path begins with, empty if none, and the rest."""
    found = _VERSIONED.fullmatch(path)
    return (found[1], found[2]) if found else ("", path)
