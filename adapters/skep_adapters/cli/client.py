"""A running daemon, as the commands that ask it see it."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from skep.version import VERSION

from skep_adapters.cli.hosts import TCP, UNIX
from skep_adapters.cli.option_error import OptionError
from skep_adapters.cli.options import SOCKET_NAME

#: A daemon that is busy answers late, and one that stands still never.
TIMEOUT_S = 60


class DaemonError(Exception):
    """The daemon cannot be reached, or refused; the message says which."""


def ask(host: str, method: str, *path: str, body: bytes | None = None, **params: object) -> Any:
    """Send a request to the daemon at `host`, or where DOCKER_HOST says, or in ./data; return what it answers.

    Raises:
        OptionError: `host` is neither a unix socket nor an address.
        DaemonError: there is no daemon, or it refuses.
    """
    where = host or os.environ.get("DOCKER_HOST", "") or f"{UNIX}{Path('data', SOCKET_NAME).absolute()}"
    if not where.startswith((UNIX, TCP)) or where in (UNIX, TCP):
        raise OptionError(f"--host {where!r}: must be unix://PATH or tcp://HOST:PORT")
    target = "/".join(quote(part, safe="") for part in path)
    return asyncio.run(_ask(where, method, target, {name: str(value) for name, value in params.items()}, body))


def _connector(where: str) -> tuple[aiohttp.BaseConnector, str]:
    """Return how a daemon is reached, and what its addresses begin with. Certificates are where docker has them."""
    if where.startswith(UNIX):
        return aiohttp.UnixConnector(where.removeprefix(UNIX)), "http://skep"
    folder = Path(os.environ.get("DOCKER_CERT_PATH", "") or Path.home() / ".docker")
    if not os.environ.get("DOCKER_TLS_VERIFY"):
        return aiohttp.TCPConnector(), f"http://{where.removeprefix(TCP)}"
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return aiohttp.TCPConnector(ssl=context), f"https://{where.removeprefix(TCP)}"


async def _ask(where: str, method: str, target: str, params: dict[str, str], body: bytes | None) -> Any:
    try:
        connector, url = _connector(where)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": f"skep/{VERSION}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as session,
            session.request(method, f"{url}/{target}", params=params, data=body) as response,
        ):
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error) or "no answer"
        raise DaemonError(f"{where}: no daemon answers there: {why}") from None
    if not response.ok:
        raise DaemonError(answer.get("message", "") if isinstance(answer, dict) else str(answer))
    return answer
