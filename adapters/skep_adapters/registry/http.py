"""Requests to registries: bounded in size, redirects followed with care, failures told in a sentence.

Credentials never follow a redirect to another host, nor from https to http. A host whose certificate is not checked is
named at every request; no other host gets that favour, whatever it redirects to.
"""

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from skep.ports.registry import RegistryError
from yarl import URL

#: Manifests and configurations; registries themselves take manifests of at most 4 MiB.
BODY_BYTES_MAX = 4 * 1024 * 1024

REDIRECTS_MAX = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    challenges: list[str]
    body: bytes


class Unreachable(RegistryError):
    """Nobody answered, or nobody whom one can trust."""


async def get(http: aiohttp.ClientSession, url: URL, *, unverified: str, headers: Mapping[str, str]) -> Answer:
    """Return the answer to a GET, after redirects.

    Raises:
        RegistryError: 500, with what went wrong.
    """
    return await _asked(http, "GET", url, unverified=unverified, headers=headers, form=None)


async def post(http: aiohttp.ClientSession, url: URL, *, unverified: str, form: Mapping[str, str]) -> Answer:
    """Return the answer to a form; it is not sent anywhere else if the server wants to.

    Raises:
        RegistryError: 500, with what went wrong.
    """
    return await _asked(http, "POST", url, unverified=unverified, headers={}, form=form)


async def _asked(
    http: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    unverified: str,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None,
) -> Answer:
    origin = url.origin()
    for _ in range(REDIRECTS_MAX + 1):
        said = headers if url.origin() == origin else _without_credentials(headers)
        answer = await _once(http, method, url, unverified=unverified, headers=said, form=form)
        if answer.status not in _REDIRECTS or "Location" not in answer.headers or form is not None:
            return answer
        url = _next(url, answer.headers["Location"])
    raise RegistryError(500, f"the registry redirected more than {REDIRECTS_MAX} times")


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def _next(url: URL, location: str) -> URL:
    try:
        following = url.join(URL(location, encoded=True))
    except ValueError:
        raise RegistryError(500, "the registry redirected to something that is no address") from None
    if following.scheme not in ("http", "https") or (url.scheme == "https" and following.scheme != "https"):
        raise RegistryError(500, f"the registry redirected from {url.scheme} to {following.scheme}: not followed")
    return following


async def _once(
    http: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    unverified: str,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None,
) -> Answer:
    # a query may hold what a registry signed: it is not told
    shown = url.with_query(None).human_repr()
    try:
        async with http.request(
            method,
            url,
            headers=headers,
            data=form,
            ssl=url.host != unverified,
            allow_redirects=False,
            raise_for_status=False,
        ) as answer:
            body = bytearray()
            async for some in answer.content.iter_any():
                body += some
                if len(body) > BODY_BYTES_MAX:
                    raise RegistryError(
                        500, f'{method.title()} "{shown}": the answer is larger than {BODY_BYTES_MAX} bytes'
                    )
            return Answer(answer.status, answer.headers, answer.headers.getall("WWW-Authenticate", []), bytes(body))
    except aiohttp.ClientConnectorCertificateError as error:
        raise Unreachable(500, f'{method.title()} "{shown}": {error.certificate_error}') from error
    except aiohttp.ClientSSLError as error:
        raise Unreachable(500, f'{method.title()} "{shown}": the TLS handshake failed') from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError) as error:
        raise Unreachable(500, f'{method.title()} "{shown}": the connection broke off') from error
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(500, f'{method.title()} "{shown}": {_why(url, error)}') from error
    except (aiohttp.ClientError, ValueError) as error:
        raise Unreachable(500, f'{method.title()} "{shown}": {type(error).__name__}') from error


def _why(url: URL, error: aiohttp.ClientConnectorError) -> str:
    """Say what failed in the words that Docker's users know."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {url.host}: no such host"
    number = error.os_error.errno or 0
    what = os.strerror(number).lower() if number in errno.errorcode else "connection failed"
    return f"dial tcp {url.host}:{url.port}: connect: {what}"
