"""Health checks: how a task that runs is asked whether it is well, for any executor whose engine does not ask.

An executor says how to probe; here is when, and what follows of the answers, as Docker has it:

- between the end of a probe and the next one is the interval; in the start period, until one went well, the start
  interval;
- what fails in the start period, before one went well, does not count; one that goes well ends the counting;
- so many failures in a row as `retries` says make it unhealthy. That is the end: an unhealthy task is stopped.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct

from skep.model.container import HealthConfig
from skep.model.ids import NANOSECONDS

#: Docker's, where a health check does not say.
INTERVAL_S = 30.0
TIMEOUT_S = 30.0
START_INTERVAL_S = 5.0
RETRIES = 3

#: What is kept, as on Docker: the last probes, and of each what it printed first.
PROBES_KEPT = 5
OUTPUT_BYTES_MAX = 4096

#: What ends a task that is unhealthy and does not end well (recorded, FACTS chapter 3).
UNHEALTHY = "dockerexec: unhealthy container"


class HealthPlan(Struct, frozen=True):
    """A health check with nothing left to inherit; durations in seconds. `test` is an argv."""

    test: tuple[str, ...]
    interval_s: float = INTERVAL_S
    timeout_s: float = TIMEOUT_S
    start_period_s: float = 0.0
    start_interval_s: float = START_INTERVAL_S
    retries: int = RETRIES


class Probed(Struct, frozen=True):
    """What came of one probe: the exit code, -1 where it did not end by itself, and what it printed."""

    exit_code: int
    output: bytes = b""

    def __repr__(self) -> str:
        """Hide the output, which is the task's."""
        return f"Probed({self.exit_code})"


def health_plan(said: HealthConfig | None) -> HealthPlan | None:
    """Return how a spec wants its tasks probed; None if they are not to be.

    Raises:
        ValueError: the test is of no form that there is, in Docker's words.
    """
    if said is None or not said.test or said.test[0] == "NONE":
        return None
    form, *words = said.test
    if form == "CMD":
        test = tuple(words)
    elif form == "CMD-SHELL":
        test = ("/bin/sh", "-c", " ".join(words)) if words else ()
    else:
        raise ValueError(f"Unknown healthcheck type '{form}' (expected 'CMD')")
    if not test:
        return None
    return HealthPlan(
        test,
        interval_s=said.interval / NANOSECONDS or INTERVAL_S,
        timeout_s=said.timeout / NANOSECONDS or TIMEOUT_S,
        start_period_s=said.start_period / NANOSECONDS,
        start_interval_s=said.start_interval / NANOSECONDS or START_INTERVAL_S,
        retries=said.retries or RETRIES,
    )


class HealthCheck:
    """The health of one task, which is neither healthy nor unhealthy at first.

    `probe` runs the test once; it is cancelled at the timeout, and must leave nothing running then.
    """

    def __init__(self, plan: HealthPlan, probe: Callable[[], Awaitable[Probed]]) -> None:
        self._plan = plan
        self._probe = probe
        self._known = asyncio.Event()
        self.healthy = self.unhealthy = False
        #: How many probes failed in a row, and counted.
        self.streak = 0
        #: The last probes, the newest last.
        self.probes: deque[Probed] = deque(maxlen=PROBES_KEPT)

    async def known(self) -> bool:
        """Return whether it is healthy, once a probe went well, too many failed, or the task ended."""
        await self._known.wait()
        return self.healthy

    def end(self) -> None:
        """Let nobody wait any more: the task ended."""
        self._known.set()

    async def run(self) -> None:
        """Probe until it is unhealthy; called when the task began to run. Cancelled when it ended."""
        plan = self._plan
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not self.unhealthy:
            beginning = not self.healthy and loop.time() - started < plan.start_period_s
            await asyncio.sleep(plan.start_interval_s if beginning else plan.interval_s)
            counts = self.healthy or loop.time() - started >= plan.start_period_s
            probed = await self._once()
            self.probes.append(probed)
            if probed.exit_code == 0:
                self.streak = 0
                self.healthy = True
                self._known.set()
            elif counts:
                self.streak += 1
                if self.streak >= plan.retries:
                    self.healthy, self.unhealthy = False, True
                    self._known.set()

    async def _once(self) -> Probed:
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                return await self._probe()
        except TimeoutError:
            return Probed(-1, f"Health check exceeded timeout ({self._plan.timeout_s:g}s)".encode())
