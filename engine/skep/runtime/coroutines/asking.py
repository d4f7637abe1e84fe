"""Asking a function whether its task is well: the probe of a health check (`skep.runtime.health`), for coroutines.

The spec's test is a command, for which there is no place here: the function that is bound stands for it, and everything
else is as the spec says. `NONE` means that nobody asks.
"""

import asyncio

from msgspec.structs import replace

from skep.model.container import HealthConfig
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.coroutines.images import HealthFunction
from skep.runtime.health import HealthCheck, HealthPlan, Probed, health_plan

_WELL, _UNWELL, _NO_ANSWER = Probed(0), Probed(1), Probed(-1)


def health_check(health: HealthFunction | None, context: TaskContext, said: HealthConfig | None) -> HealthCheck | None:
    """Return the health check of a task; None if it has none."""
    plan = _plan(said)
    return None if health is None or plan is None else HealthCheck(plan, _Asking(health, context).ask)


def _plan(said: HealthConfig | None) -> HealthPlan | None:
    said = said or HealthConfig()
    if said.test[:1] == ("NONE",):
        return None
    return health_plan(replace(said, test=("CMD", "")))  # it is not run, so any will do


class _Asking:
    """One function and its task. It is asked one question at a time, also where it ignores that it is cancelled."""

    def __init__(self, health: HealthFunction, context: TaskContext) -> None:
        self._health = health
        self._context = context
        self._asking: asyncio.Task[Probed] | None = None

    async def ask(self) -> Probed:
        """Ask once; cancelled, it returns at once, and leaves the function to its cancellation."""
        if self._asking is not None and not self._asking.done():
            return _NO_ANSWER
        # no task group: that would wait for a function that ignores its cancellation
        asking = self._asking = asyncio.create_task(self._answer())
        try:
            await asyncio.wait({asking})
        finally:
            asking.cancel()
        return _NO_ANSWER if asking.cancelled() else asking.result()

    async def _answer(self) -> Probed:
        try:
            return _UNWELL if await self._health(self._context) is False else _WELL
        except Exception:  # noqa: BLE001 - whatever it raises says that it is not well
            return _UNWELL
