"""Whatever is asked, in the shapes that Docker publishes and in others, is answered as Swarm would, and breaks nothing.

The requests are the same in every run. `pytest --hypothesis-profile=searching` draws others, and more of them.
"""

import asyncio
import re

import pytest
from docker_harness import served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published import SETTING, Request, requests
from raw_client import Heard, said
from skep.history.verify import verify
from skep.runtime.memory import MemoryStorage
from skep.testing.engine_test import assert_whole
from skep.testing.sources import SeededIds
from structlog.testing import capture_logs

STATUSES = frozenset({200, 201, 204, 400, 403, 404, 409, 413, 417, 500, 501, 503})

#: What a real swarm answers with 500: recorded, but for other words in the same place and what its source shows.
SENTENCES = (
    "Bad parameters: you must choose at least one stream",
    'tail value must be a positive integer or "all"|negative tail values not supported',
    "could not parse since timestamp: .*",
    "Invalid (desired-state|membership|role) filter: '.*'",
    "(invalid character|json: cannot unmarshal|unexpected end of JSON|unexpected EOF|exceeded max depth) ?.*",
    r"Datapath port number is not in valid range \(1024-49151\) : -?\d+",
    "Invalid subnet .* : invalid CIDR address: .*",
    r"This node is not a swarm manager\. .*",
    "network .* not found|invalid name: .*",
    "rpc error: code = Unknown desc = constraint expected one operator from ==, !=",
    "rpc error: code = Unknown desc = (key|value) '.*' is invalid",
    'rpc error: code = Unknown desc = (update out of sequence|plugin ".*" not found)',
    "unrecognized rollback option .*|unsupported registryAuthFrom value",
    "service does not have a previous spec",
    "strconv.ParseInt: parsing .*: (invalid syntax|value out of range)",
)
FAILURES = re.compile("|".join(SENTENCES), re.DOTALL)

STEADY = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SEARCHING = settings.get_current_profile_name() == "searching"


def allowed(heard: Heard) -> bool:
    if heard.status == 500:
        return FAILURES.fullmatch(heard.message) is not None
    return heard.status in STATUSES


async def asked(drawn: list[Request]) -> None:
    """Ask a new swarm all of these, and look at what they have left."""
    storage = MemoryStorage()
    async with served(storage=storage, ids=SeededIds(1)) as api:
        for request in SETTING:
            assert (await said(api.path, request)).status in (200, 201), request
        for request in drawn:
            heard = await said(api.path, request)
            assert allowed(heard), (request, heard)
        assert (await said(api.path, Request("GET", "/info"))).status == 200
        if api.cluster.active:
            await assert_whole(api.cluster)
    store = await storage.latest()
    assert store is not None
    report = await verify(store)
    assert report.clean, report.problems


@pytest.mark.timeout(3600)  # for what is found is told in its smallest form
@given(st.lists(requests(), min_size=10, max_size=20))
@(settings.get_profile("searching") if SEARCHING else STEADY)
def test_any_request_is_answered_as_swarm_would_and_breaks_nothing(
    caplog: pytest.LogCaptureFixture, drawn: list[Request]
) -> None:
    caplog.clear()
    with capture_logs() as told:
        asyncio.run(asked(drawn))
    assert not [each for each in told if each["log_level"] in ("error", "critical")], (drawn, told)
    assert not [each for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")], (drawn, caplog.text)
