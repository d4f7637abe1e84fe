"""The client: from the name of an image to its digest and platforms.

Every registry is asked over https with its certificate checked, but insecure ones: over https unchecked first, then
over http. As with Docker, those are the ones of this very machine (127.0.0.0/8 and ::1), and those that it is told of.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Mapping

import aiohttp
from skep.ports.registry import ImageFound, Platform, RegistryError
from skep.version import VERSION
from yarl import URL

from skep_adapters.registry import http as requests
from skep_adapters.registry import manifests, reference, tokens
from skep_adapters.registry.challenge import challenges
from skep_adapters.registry.manifests import Manifest
from skep_adapters.registry.reference import Reference
from skep_adapters.registry.refusals import refusal
from skep_adapters.registry.tokens import Login

#: A person waits for the answer: a registry that does not answer is not waited for longer.
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0

_OK = 200
_UNAUTHORIZED = 401
_HEAD_BYTES_MAX = 64 * 1024


class RegistryClient:
    """Asks registries; keeps neither connections nor tokens. `timeout_s` bounds one look-up.

    `insecure` are registries as names of images begin with them, HOST or HOST:PORT. Whoever is between here and there
    reads the credentials that are sent to them.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, insecure: Collection[str] = ()) -> None:
        self._timeout_s = timeout_s
        self._insecure = frozenset(host.lower() for host in insecure)

    async def look_up(self, image: str, credentials: Mapping[str, str]) -> ImageFound:
        """Return what `image` is, as `skep.ports.registry.Registry`."""
        wanted = reference.parse(image)
        try:
            async with asyncio.timeout(self._timeout_s), _session() as http:
                return await _looked_up(http, wanted, tokens.login(credentials), told=self._insecure)
        except TimeoutError:
            raise RegistryError(500, f"{wanted.host} did not answer within {self._timeout_s:g} seconds") from None


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"skep/{VERSION}"},
        max_line_size=_HEAD_BYTES_MAX,
        max_field_size=_HEAD_BYTES_MAX,
    )


async def _looked_up(
    http: aiohttp.ClientSession, wanted: Reference, who: Login, *, told: Collection[str]
) -> ImageFound:
    insecure = wanted.domain.lower() in told or await _of_this_machine(wanted.host)
    schemes = ("https", "http") if insecure else ("https",)
    for scheme in schemes:
        try:
            root = URL(f"{scheme}://{wanted.host}")
            return await _Repository(http, root, wanted, who, unverified=str(root.host) if insecure else "").found()
        except requests.Unreachable:
            if scheme == schemes[-1]:
                raise
    raise AssertionError(schemes)


async def _of_this_machine(host: str) -> bool:
    """Whether a registry is on a loopback address, by its name too."""
    name = URL(f"https://{host}").host or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # asking it will say why
    return any(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


class _Repository:
    """A repository of a registry, asked on behalf of somebody."""

    def __init__(
        self, http: aiohttp.ClientSession, root: URL, wanted: Reference, who: Login, *, unverified: str
    ) -> None:
        self._http = http
        self._root = root
        self._wanted = wanted
        self._who = who
        self._unverified = unverified
        self._credentials: dict[str, str] = {}

    async def found(self) -> ImageFound:
        await self._introduce()
        accept = {"Accept": manifests.ACCEPT}
        answer = await self._get(self._manifest, accept)
        digest = self._digest(answer)
        manifest = manifests.read(answer.body, answer.headers.get("Content-Type", ""))
        return ImageFound(manifest.media_type, digest, len(answer.body), await self._platforms(manifest))

    async def _introduce(self) -> None:
        """Ask for nothing in particular: the answer says who may ask for more."""
        base = self._root / "v2/"
        answer = await requests.get(self._http, base, unverified=self._unverified, headers={})
        if answer.status == _UNAUTHORIZED or self._who.registry_token:
            wanted = challenges(answer.challenges)
            self._credentials = await tokens.authorization(
                self._http,
                wanted,
                self._who,
                repository=self._wanted.path,
                asked=base,
                unverified=self._unverified,
            )
            if not self._credentials and any(one.scheme == "basic" for one in wanted):
                method = "Get" if self._wanted.digest else "Head"
                raise RegistryError(500, f'{method} "{self._url(self._manifest)}": no basic auth credentials')

    @property
    def _manifest(self) -> str:
        return f"/v2/{self._wanted.path}/manifests/{self._wanted.which}"

    def _url(self, path: str) -> URL:
        return self._root.join(URL(path, encoded=True))

    async def _get(self, path: str, headers: Mapping[str, str]) -> requests.Answer:
        answer = await requests.get(
            self._http, self._url(path), unverified=self._unverified, headers={**headers, **self._credentials}
        )
        if answer.status != _OK:
            raise refusal(answer.status, answer.body)
        return answer

    def _digest(self, answer: requests.Answer) -> str:
        """Return the digest of a manifest, which must be the one that was asked for, and that the registry tells."""
        claimed = self._wanted.digest or answer.headers.get("Docker-Content-Digest", "")
        algorithm = claimed.partition(":")[0] or "sha256"
        digest = manifests.digest_of(answer.body, algorithm)
        if not digest:
            raise RegistryError(400, f"unsupported digest algorithm {algorithm[:50]}")
        if claimed and digest != claimed:
            raise RegistryError(500, f"the registry's manifest has another digest than it should: {digest}")
        return digest

    async def _platforms(self, manifest: Manifest) -> tuple[Platform, ...]:
        """Return what the image runs on; a configuration that cannot be had says nothing, as with Docker."""
        if manifest.media_type not in manifests.SINGLE or manifest.config is None:
            return manifest.platforms
        algorithm = manifest.config.digest.partition(":")[0]
        if not reference.is_digest(manifest.config.digest):
            return ()
        try:
            answer = await self._get(f"/v2/{self._wanted.path}/blobs/{manifest.config.digest}", {})
        except RegistryError:
            return ()
        if manifests.digest_of(answer.body, algorithm) != manifest.config.digest:
            return ()
        found = manifests.configured(answer.body)
        return (found,) if found.os or found.architecture else ()
