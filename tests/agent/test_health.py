"""When a task is probed, and what follows of the answers: Docker's rules, in virtual time."""

import asyncio

import pytest
from skep.model.container import HealthConfig
from skep.model.ids import NANOSECONDS
from skep.runtime.health import HealthCheck, HealthPlan, Probed, health_plan


async def told(answers: str, plan: HealthPlan) -> tuple[HealthCheck, list[float]]:
    """Probe with answers, `-` for a failure and `h` for one that hangs; return the health and when each was asked."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked: list[float] = []
    left = iter(answers)

    async def probe() -> Probed:
        asked.append(round(loop.time() - started, 3))
        answer = next(left, None)
        if answer is None:
            raise EOFError
        if answer == "h":
            await asyncio.sleep(1000)
        return Probed(0 if answer == "+" else 1)

    check = HealthCheck(plan, probe)
    try:
        await check.run()
    except EOFError:
        asked.pop()
    return check, asked


TEST = ("true",)


def test_what_a_health_check_does_not_say_is_dockers() -> None:
    assert health_plan(HealthConfig(("CMD", "true"))) == HealthPlan(TEST, 30, 30, 0, 5, 3)
    assert health_plan(HealthConfig(("CMD-SHELL", "a b"))) == HealthPlan(("/bin/sh", "-c", "a b"))
    said = HealthConfig(("CMD", "true"), *(n * NANOSECONDS for n in (1, 2, 3, 4)), 5)
    assert health_plan(said) == HealthPlan(TEST, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("test", [(), ("NONE",), ("CMD",), ("CMD-SHELL",)])
def test_no_test_is_no_health_check(test: tuple[str, ...]) -> None:
    assert health_plan(HealthConfig(test)) is None


@pytest.mark.parametrize(
    ("answers", "healthy", "unhealthy"),
    [("", False, False), ("--", False, False), ("---", False, True), ("--+--", True, False), ("+---", False, True)],
)
async def test_three_failures_in_a_row_make_it_unhealthy(answers: str, healthy: bool, unhealthy: bool) -> None:
    check, _ = await told(answers, HealthPlan(TEST, 0.01))
    assert (check.healthy, check.unhealthy) == (healthy, unhealthy)


async def test_failures_in_the_start_period_do_not_count_until_one_goes_well() -> None:
    check, asked = await told("--------", HealthPlan(TEST, 0.2, start_period_s=1.0, start_interval_s=0.3, retries=2))
    assert check.unhealthy
    assert asked == pytest.approx([0.3, 0.6, 0.9, 1.2, 1.4], abs=0.09)
    check, asked = await told("-+--", HealthPlan(TEST, 0.05, start_period_s=100, start_interval_s=0.3, retries=2))
    assert check.unhealthy
    assert asked == pytest.approx([0.3, 0.6, 0.65, 0.7], abs=0.09)


async def test_a_probe_that_takes_too_long_fails() -> None:
    check, _ = await told("h", HealthPlan(TEST, 0.01, timeout_s=0.05, retries=1))
    assert check.unhealthy
    assert check.probes[0] == Probed(-1, b"Health check exceeded timeout (0.05s)")
