"""Health checks of coroutines, in Docker's order: intervals between checks, a start period, so many failures in a row.

The spec's test is a command, for which there is no place here: the function that is bound stands for it. A test
`NONE` means that it is not asked.
"""

import asyncio
from collections.abc import Awaitable, Callable

from skep.model.container import HealthConfig
from skep.model.ids import NANOSECONDS

#: Docker's own, where nothing is said.
INTERVAL_S = 30.0
TIMEOUT_S = 30.0
START_INTERVAL_S = 5.0
RETRIES = 3

Check = Callable[[], Awaitable[object]]


def is_asked(config: HealthConfig | None) -> bool:
    """Say whether a spec wants a check that is there."""
    return config is None or config.test[:1] != ("NONE",)


class Health:
    """The health of one task that begins to run now."""

    def __init__(self, check: Check, config: HealthConfig | None) -> None:
        config = config or HealthConfig()
        self._check = check
        self._interval_s = config.interval / NANOSECONDS or INTERVAL_S
        self._timeout_s = config.timeout / NANOSECONDS or TIMEOUT_S
        self._start_period_s = config.start_period / NANOSECONDS
        self._start_interval_s = config.start_interval / NANOSECONDS or START_INTERVAL_S
        self._retries = config.retries or RETRIES
        self._asking: asyncio.Task[bool] | None = None
        #: Set with the first check that went well.
        self.healthy = asyncio.Event()

    async def until_unhealthy(self) -> None:
        """Ask again and again; return when so many checks in a row failed. A check that hangs is left alone."""
        now = asyncio.get_running_loop().time
        began = now()
        failed = 0
        try:
            while failed < self._retries:
                starting = not self.healthy.is_set() and now() - began < self._start_period_s
                await asyncio.sleep(self._start_interval_s if starting else self._interval_s)
                excused = not self.healthy.is_set() and now() - began < self._start_period_s
                if await self._ask():
                    self.healthy.set()
                    failed = 0
                elif not excused:
                    failed += 1
        finally:
            if self._asking is not None:
                self._asking.cancel()

    async def _ask(self) -> bool:
        if self._asking is not None:
            if not self._asking.done():
                return False  # it ignores its cancellation: another one would not fare better
            self._asking = None
        # no task group: that would wait for a check that ignores its cancellation
        asking = self._asking = asyncio.create_task(self._answer())
        done, _ = await asyncio.wait({asking}, timeout=self._timeout_s)
        if not done:
            asking.cancel()
            return False
        self._asking = None
        return not asking.cancelled() and asking.result()

    async def _answer(self) -> bool:
        try:
            return await self._check() is not False
        except Exception:  # noqa: BLE001 - whatever a check raises says that it is not well
            return False
