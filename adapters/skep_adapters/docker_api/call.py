"""A request on its way to a handler: its body, its query, who sent it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web
from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.model.ids import Position
from skep.model.service import ServiceSpec
from skep.ports.registry import Registry
from skep.ports.volumes import Volumes

from skep_adapters.docker_api import query
from skep_adapters.docker_api.api_versions import before
from skep_adapters.docker_api.backend import Backend
from skep_adapters.docker_api.decode import decode
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.expectations import CONTINUE, expects_to_go_on
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.filters import parse as parse_filters
from skep_adapters.docker_api.passthrough_engine import LocalEngine
from skep_adapters.docker_api.rendered_specs import RenderedSpecs

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

#: The largest body: a config of just under 1,000 KB as base64, with room for a large spec.
BODY_BYTES_MAX = 4 * 1024 * 1024

#: So long may a body take to arrive.
BODY_TIMEOUT_S = 30

#: What is kept of a client's name.
VIA_CHARS_MAX = 200


class Call:
    """One request. `args` is what its path names."""

    def __init__(
        self,
        request: web.BaseRequest,
        cluster: Backend,
        args: dict[str, str],
        *,
        api_max: str,
        spoken: str,
        hostname: str,
        closing: asyncio.Event,
        unsupported: Callable[[ServiceSpec], Sequence[str]] | None = None,
        engine: LocalEngine | None = None,
        registry: Registry | None = None,
        specs: RenderedSpecs,
        volumes: Volumes | None = None,
        peer: str = "",
        patience: float = 1.0,
    ) -> None:
        self._body_timeout_s = patience * BODY_TIMEOUT_S
        #: writes specs for lists, and knows those that were asked for before
        self.specs = specs
        self._peer = peer
        self.request = request
        self.cluster = cluster
        self.args = args
        self.api_max = api_max
        #: the version of the API that the client speaks: the newest that it can, unless its path says another
        self.spoken = spoken
        self.hostname = hostname
        #: set when the server closes: streams end then
        self.closing = closing
        self._unsupported = unsupported
        #: the Docker Engine that has everything outside the swarm, if there is one
        self.engine = engine
        #: who knows the digests of images where no engine is asked
        self.registry = registry
        #: the volumes of this machine where no engine has them
        self.volumes = volumes

    @property
    def ref(self) -> str:
        """What the path says after the kind of thing: an id, a name, or the beginning of an id."""
        return self.args["ref"]

    @property
    def actor(self) -> Actor:
        """Who asks, and by what client: the subject of a certificate, or the user of the process at the socket."""
        via = self.request.headers.get("User-Agent", "")[:VIA_CHARS_MAX]
        return Actor(kind="person", name=self._peer, via=via)

    def param(self, name: str) -> str:
        """Return a parameter of the query; empty if it was not given."""
        return self.request.query.get(name, "")

    @property
    def registry_auth(self) -> str:
        """The credentials for a registry that are sent along: base64 of JSON. Never to be told."""
        return self.request.headers.get("X-Registry-Auth", "")

    def truth(self, name: str, *, short: bool = False) -> bool:
        """Return a strict truth of the query, as `query.truth`."""
        return query.truth(name, self.param(name), short=short)

    def lenient(self, name: str) -> bool:
        """Return a truth of the query that is everything but a no."""
        return query.lenient(self.param(name))

    def version(self, kind: str) -> Position:
        """Return the version that an update is based on, as `query.version`."""
        return query.version(kind, self.param("version"))

    def before(self, version: str) -> bool:
        """Say whether the client speaks a version of the API that is older."""
        return before(self.spoken, version)

    def filters(self, *, status: int) -> Filters:
        """Return the filters of the query; `status` answers those that cannot be read."""
        return parse_filters(self.param("filters"), status=status)

    def warnings(self, spec: ServiceSpec) -> list[str]:
        """Return a sentence for each part of `spec` that is kept and has no effect here."""
        fields = self._unsupported(spec) if self._unsupported is not None else ()
        return [f"{field} is kept, and has no effect: what runs the tasks here does without it" for field in fields]

    async def body(self, kind: type[S]) -> S:
        """Read the body as a `kind`.

        Raises:
            ApiError: it is no such thing (400), too large (413), or does not arrive (408).
        """
        return decode(kind, await self.raw_body())

    async def raw_body(self) -> bytes:
        """Read the body.

        Raises:
            ApiError: it is too large (413), or does not arrive (408).
        """
        transport = self.request.transport
        if expects_to_go_on(self.request) and transport is not None:
            transport.write(CONTINUE)
        try:
            async with asyncio.timeout(self._body_timeout_s):
                return await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise ApiError(413, f"request body is larger than {BODY_BYTES_MAX} bytes") from None
        except TimeoutError:
            raise ApiError(408, f"request body did not arrive within {self._body_timeout_s:g} seconds") from None

    async def read(self, ask: Callable[[ClusterState], T]) -> T:
        """Ask the cluster's state."""
        return await self.cluster.read(ask)
