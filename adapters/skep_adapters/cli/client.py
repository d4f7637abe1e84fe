"""A running daemon, as the commands that ask it see it."""

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from skep.version import VERSION

from skep_adapters.cli.options import SOCKET_NAME, UNIX, OptionError

#: A daemon that is busy answers late, and one that stands still never.
TIMEOUT_S = 60


class DaemonError(Exception):
    """The daemon cannot be reached, or refused; the message says which."""


def ask(host: str, method: str, *path: str, **params: object) -> Any:
    """Send a request to the daemon at `host`, or where DOCKER_HOST says, or in ./data; return what it answers.

    Raises:
        OptionError: `host` is no unix socket.
        DaemonError: there is no daemon, or it refuses.
    """
    where = host or os.environ.get("DOCKER_HOST", "") or f"{UNIX}{Path('data', SOCKET_NAME).absolute()}"
    if not where.startswith(UNIX) or where == UNIX:
        raise OptionError(f"--host {where!r}: must be unix://PATH")
    url = "http://skep/" + "/".join(quote(part, safe="") for part in path)
    return asyncio.run(_ask(where, method, url, {name: str(value) for name, value in params.items()}))


async def _ask(where: str, method: str, url: str, params: dict[str, str]) -> Any:
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(where.removeprefix(UNIX)),
                headers={"User-Agent": f"skep/{VERSION}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as session,
            session.request(method, url, params=params) as response,
        ):
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error) or "no answer"
        raise DaemonError(f"{where}: no daemon answers there: {why}") from None
    if not response.ok:
        raise DaemonError(answer.get("message", "") if isinstance(answer, dict) else str(answer))
    return answer
