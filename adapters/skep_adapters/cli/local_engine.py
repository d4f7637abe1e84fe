"""The Docker Engine of this machine: found when the daemon starts, and kept a member of the swarm for its own node.

To the engine skep is a swarm that it joined as a worker. Its node is the manager's: the token by which it joins is good
for that node only, and is known to this process alone. It joins again whenever it is in no swarm, and leaves with skep.
"""

import asyncio
import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import structlog
from skep.model.ids import NodeId
from skep.model.node import ManagerStatus
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError

from skep_adapters.cli.hosts import UNIX
from skep_adapters.cli.option_error import OptionError
from skep_adapters.cli.options import UpOptions
from skep_adapters.cli.own_address import way_in

#: Where Docker's packages have it.
DEFAULT_SOCKET = Path("/var/run/docker.sock")

#: An engine that is there answers at once; one that is frozen must not hold up the start.
FIND_TIMEOUT_S = 5.0

#: dockerd itself gives up joining after 20 seconds.
ASK_TIMEOUT_S = 40.0

LOOK_EVERY_S = 5.0

_log = structlog.get_logger("skep.local_engine")


class LocalEngineError(EngineError):
    """The engine of this machine refused; the message says why."""


def find(options: UpOptions) -> Path | None:
    """Return the socket of the engine that runs this machine's tasks; None if another executor does.

    Raises:
        OptionError: `--engine` names one that does not answer, or that manages a swarm of its own.
    """
    if options.engine:
        path = Path(options.engine.removeprefix(UNIX)).absolute()
        info = _info(path)
        if info is None:
            raise OptionError(f"--engine {options.engine}: no Docker Engine answers there")
        if _manages(info):
            raise OptionError(f"--engine {options.engine}: that Docker Engine manages a swarm of its own")
        return path
    if options.executor != "auto" or options.nodes > 1 or options.catalog is not None:
        return None
    info = _info(DEFAULT_SOCKET)
    return DEFAULT_SOCKET if info is not None and not _manages(info) else None


def _manages(info: dict[str, Any]) -> bool:
    """Whether an engine manages a swarm: not ours, in which it is a worker."""
    return bool(info.get("Swarm", {}).get("ControlAvailable"))


def _info(path: Path) -> dict[str, Any] | None:
    """Ask an engine about itself; None if none answers."""
    connection = http.client.HTTPConnection("docker", timeout=FIND_TIMEOUT_S)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(FIND_TIMEOUT_S)
        connection.sock.connect(str(path))
        connection.request("GET", "/info")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


class LocalEngine:
    """Keeps the engine at `path` a member of whatever swarm this daemon manages."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def attend(self, engine: Engine) -> None:
        """Look after the engine's membership until cancelled; if the swarm was left by then, it leaves too."""
        told = ""
        try:
            while True:
                try:
                    await self._look(engine)
                    told = ""
                except LocalEngineError as error:
                    if told != str(error):
                        _log.warning("local_engine.not_joined", engine=str(self._path), reason=str(error))
                    told = str(error)
                await anyio.sleep(LOOK_EVERY_S)
        finally:
            if engine.writer.state.left:
                with anyio.CancelScope(shield=True), contextlib.suppress(LocalEngineError):
                    await self._leave()

    async def forsake(self, engine: Engine) -> None:
        """Have the engine leave the swarm of `engine`, if it is in that; told in words if it does not."""
        try:
            if (await self._swarm()).get("NodeID") == engine.node_id:
                await self._leave()
        except LocalEngineError as error:
            _log.warning("local_engine.not_left", engine=str(self._path), reason=str(error))

    async def _swarm(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._ask("GET", "/info")).get("Swarm") or {}
        return found

    async def _look(self, engine: Engine) -> None:
        swarm = await self._swarm()
        state, node_id = swarm.get("LocalNodeState"), swarm.get("NodeID", "")
        if state in ("active", "pending", "locked") and node_id == engine.node_id:
            return
        if node_id and node_id != engine.node_id:
            raise LocalEngineError(
                f"the engine is part of another swarm, as node {node_id}: "
                f"docker -H {UNIX}{self._path} swarm leave --force"
            )
        if state == "error":
            await self._leave()
        await self._join(engine)

    async def _join(self, engine: Engine) -> None:
        manager = engine.writer.state.nodes[NodeId(engine.node_id)]
        status = manager.manager or ManagerStatus()
        body = {
            "RemoteAddrs": [way_in(status.listen_addr, manager.status.addr)],
            "JoinToken": await engine.membership.own_token(manager.id),
            "ListenAddr": "0.0.0.0:2377",
            "AdvertiseAddr": manager.status.addr,
            "DataPathAddr": status.data_path_addr,
        }
        await self._ask("POST", "/swarm/join", body)
        _log.info("local_engine.joined", engine=str(self._path), node_id=manager.id)

    async def _leave(self) -> None:
        await self._ask("POST", "/swarm/leave?force=1")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            async with (
                asyncio.timeout(ASK_TIMEOUT_S),
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path))) as session,
                session.request(method, f"http://docker{path}", json=body) as answer,
            ):
                said = await answer.json(content_type=None) if method == "GET" or not answer.ok else None
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise LocalEngineError(f"the engine does not answer: {error or type(error).__name__}") from None
        if not answer.ok:
            raise LocalEngineError(str(said.get("message", "")) if isinstance(said, dict) else str(said))
        return said
