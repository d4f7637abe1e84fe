"""The Docker Engine on this machine, asked over its unix socket.

Every request has a connection of its own: none is ever found closed by an engine that was restarted meanwhile.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from skep_adapters.docker_api.api_versions import numbers
from skep_adapters.docker_api.errors import ApiError

#: The line and each field of an answer's head: the stat of `docker cp` is a field.
HEAD_BYTES_MAX = 64 * 1024

#: A living engine accepts at once; one that is frozen does not.
CONNECT_TIMEOUT_S = 10.0

#: So long may an answer take that is put together with skep's own, and so large may it be.
ANSWER_TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024

#: What is read at a time: images of gigabytes pass through.
CHUNK_BYTES = 256 * 1024

#: Set by the client of aiohttp if nobody sets them; the engine is to hear what the client said, and no more.
_OWN_FIELDS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class EngineGone(ApiError):
    """The engine does not answer, or left without an answer."""


class EngineUnreachable(EngineGone):
    """Nobody takes requests there: nothing was sent."""


class Answer(NamedTuple):
    """A whole answer of the engine."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what the body says.

        Raises:
            EngineGone: it is no JSON.
        """
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise EngineGone(502, "the Docker Engine answered something that is no JSON") from None


class LocalEngine:
    """An engine, and the newest version of the API that it is known to speak (empty until it answered)."""

    def __init__(self, path: Path, http: aiohttp.ClientSession) -> None:
        self.path = path
        self.api_version = ""
        self._http = http

    @asynccontextmanager
    async def sent(
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterable[bytes] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; yield its answer, whose body may be still to come. `target` is sent as it is.

        Raises:
            EngineGone: there was no answer.
        """
        asked = self._http.request(
            method,
            URL(f"http://docker{target}", encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=_OWN_FIELDS,
        )
        try:
            answer = await asked
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self.unreachable(error) from error
        except aiohttp.ClientError as error:
            raise self.broken_off() from error
        async with answer:
            if numbers(version := answer.headers.get("Api-Version", "")):
                self.api_version = version
            yield answer

    async def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Answer:
        """Return the whole answer to a request without a body.

        Raises:
            EngineGone: there was none, it took too long or was too long.
        """
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.sent(method, target, headers or {}, None) as answer,
            ):
                body = bytearray()
                async for some in answer.content.iter_any():
                    body += some
                    if len(body) > ANSWER_BYTES_MAX:
                        raise EngineGone(502, f"the Docker Engine answered more than {ANSWER_BYTES_MAX} bytes")
                return Answer(answer.status, answer.headers, bytes(body))
        except TimeoutError:
            raise EngineGone(503, f"{self} did not answer within {timeout_s:g} seconds") from None
        except aiohttp.ClientError as error:
            raise self.broken_off() from error

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the engine.

        Raises:
            EngineGone: nobody is there.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_unix_connection(str(self.path), limit=CHUNK_BYTES)
        except (OSError, TimeoutError) as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> EngineUnreachable:
        """Return the error of an engine that nobody reached."""
        os_error = getattr(error, "os_error", error)
        why = (os_error.strerror if isinstance(os_error, OSError) else None) or "it does not accept connections"
        return EngineUnreachable(503, f"cannot connect to {self}: {why}. Is it running?")

    def broken_off(self) -> EngineGone:
        """Return the error of an engine that took a request and gave no answer."""
        return EngineGone(502, f"{self} closed the connection without an answer")

    def __str__(self) -> str:
        return f"the Docker Engine at unix://{self.path}"


@asynccontextmanager
async def local_engine(path: Path) -> AsyncIterator[LocalEngine]:
    """Yield the engine that listens at `path`, or will."""
    http = aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(path), force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=CHUNK_BYTES,
        max_line_size=HEAD_BYTES_MAX,
        max_field_size=HEAD_BYTES_MAX,
    )
    async with http:
        yield LocalEngine(path, http)
