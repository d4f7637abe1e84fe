"""Health checks of processes: what is waited for, what ends a task, and what a probe is."""

import asyncio
import time
from pathlib import Path

import pytest
from process_harness import new_marker, running, shell, until_gone, with_marker
from skep.model.container import HealthConfig
from skep.model.ids import NANOSECONDS
from skep.ports.executor import TaskFailed, TaskRejected

LOOPING = 'trap "exit {code}" TERM; while :; do sleep 0.02; done'


def check(*test: str, interval: float = 0.05, timeout: float = 5, retries: int = 1, **seconds: float) -> HealthConfig:
    """Return a health check whose durations are seconds."""
    told = {name: int(each * NANOSECONDS) for name, each in seconds.items()}
    return HealthConfig(test, int(interval * NANOSECONDS), int(timeout * NANOSECONDS), retries=retries, **told)


async def test_a_task_is_started_when_its_first_probe_goes_well(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        marker = tmp_path / "well"
        spec = shell(LOOPING.format(code=0), healthcheck=check("CMD", "test", "-e", str(marker), retries=1000))
        controller = cluster.controller(spec)
        await controller.prepare()
        starting = asyncio.create_task(controller.start())
        await asyncio.sleep(0.3)
        assert not starting.done()
        marker.touch()
        await asyncio.wait_for(starting, 5)
        await controller.stop(5)


@pytest.mark.parametrize("test", [(), ("NONE",), ("CMD",)])
async def test_without_a_test_a_task_is_started_at_once(tmp_path: Path, test: tuple[str, ...]) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("sleep 100", healthcheck=check(*test, interval=100)))
        assert controller.health is None


async def test_an_unknown_form_of_a_test_is_rejected(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskRejected, match="Unknown healthcheck type 'ASK'"):
            await cluster.controller(shell("true", healthcheck=check("ASK", "x"))).prepare()


@pytest.mark.parametrize("code", [3, 137])
async def test_an_unhealthy_task_fails_in_dockers_words(tmp_path: Path, code: int) -> None:
    async with running(tmp_path) as cluster:
        ignoring = 'trap "" TERM; while :; do sleep 0.02; done'
        script = ignoring if code == 137 else LOOPING.format(code=code)
        spec = shell(script, healthcheck=check("CMD-SHELL", "exit 1", retries=2), stop_grace_period=NANOSECONDS // 2)
        with pytest.raises(TaskFailed) as failed:
            await cluster.started(spec)
        assert str(failed.value) == f"task: non-zero exit ({code}): dockerexec: unhealthy container"
        assert failed.value.exit_code == code


async def test_an_unhealthy_task_that_ends_well_is_complete(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell(LOOPING.format(code=0), healthcheck=check("CMD-SHELL", "exit 1")))
        await controller.wait()
        assert controller.health is not None
        assert controller.health.unhealthy


async def test_a_task_that_gets_unhealthy_later_is_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        sick = tmp_path / "sick"
        test = f"echo asked; test ! -e {sick}"
        controller = await cluster.started(
            shell(LOOPING.format(code=3), healthcheck=check("CMD-SHELL", test, retries=2))
        )
        waiting = asyncio.create_task(controller.wait())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        sick.touch()
        with pytest.raises(TaskFailed, match=r"^task: non-zero exit \(3\): dockerexec: unhealthy container$"):
            await asyncio.wait_for(waiting, 10)
        assert controller.health is not None
        assert [(each.exit_code, each.output) for each in controller.health.probes][-2:] == [(1, b"asked\n")] * 2


async def test_a_task_that_ends_before_it_is_healthy_failed_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskFailed, match=r"^task: non-zero exit \(7\)$"):
            await cluster.started(shell("exit 7", healthcheck=check("CMD", "true", interval=100)))


async def test_a_probe_that_hangs_is_killed_at_its_timeout_with_all_of_it(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        marker = new_marker()
        test = f"setsid sleep {marker} & sleep {marker}"
        spec = shell(LOOPING.format(code=3), healthcheck=check("CMD-SHELL", test, timeout=0.4))
        started = time.monotonic()
        with pytest.raises(TaskFailed, match="unhealthy container"):
            await cluster.started(spec)
        assert time.monotonic() - started < 5
        assert not with_marker(marker)


async def test_no_probe_outlives_its_task(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        marker = new_marker()
        spec = shell("sleep 0.5; exit 4", healthcheck=check("CMD", "sleep", marker, timeout=100))
        controller = cluster.controller(spec)
        with pytest.raises(TaskFailed, match=r"\(4\)$"):
            await controller.start()
        assert not with_marker(marker)


async def test_no_probe_outlives_its_agent(tmp_path: Path) -> None:
    marker = new_marker()
    async with running(tmp_path) as cluster:
        controller = cluster.controller(shell("sleep 100", healthcheck=check("CMD", "sleep", marker, timeout=100)))
        starting = asyncio.create_task(controller.start())
        async with asyncio.timeout(10):
            while not with_marker(marker):  # noqa: ASYNC110  # it is the kernel that is asked
                await asyncio.sleep(0.02)
        starting.cancel()
    await until_gone(marker, 0.5)


async def test_a_probe_runs_as_the_task_and_its_output_is_bounded(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        seen = tmp_path / "seen"
        test = f'echo "$A $SKEP_SERVICE_NAME $(pwd) $(ulimit -n)" > {seen}; head -c 1000000 /dev/zero'
        spec = shell("sleep 100", env=("A=1",), dir="/usr", healthcheck=check("CMD-SHELL", test))
        controller = await cluster.started(spec)
        assert seen.read_text().startswith("1 web /usr ")
        assert controller.health is not None
        assert controller.health.probes[0].output == b"\0" * 4096
