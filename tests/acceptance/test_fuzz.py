"""The daemon answers whatever is asked, and what it has written holds: see `Daemon.close`."""

import asyncio
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.acceptance.daemon import Daemon

sys.path.insert(0, str(Path(__file__).parents[1] / "docker_api"))

from published import SETTING, Request, requests  # found by the line above
from raw_client import said


def test_a_daemon_that_was_asked_all_kinds_of_things_leaves_a_log_that_holds(daemon: Daemon) -> None:
    daemon.start("--executor", "simulated")
    daemon.ask("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1"})

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(requests(), min_size=10, max_size=20))
    def ask(drawn: list[Request]) -> None:
        asyncio.run(_said(daemon.socket, drawn))

    for request in SETTING:
        asyncio.run(_said(daemon.socket, [request]))
    ask()
    assert daemon.get("/info")["Swarm"]["LocalNodeState"] in ("active", "inactive")


async def _said(path: Path, drawn: list[Request]) -> None:
    for request in drawn:
        heard = await said(path, request)
        assert heard.status, request
