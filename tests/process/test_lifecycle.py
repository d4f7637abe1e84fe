"""From start to end: exit codes, words, signals and grace, as Swarm tells them."""

import asyncio
import time
from pathlib import Path

import pytest
from process_harness import exists, new_marker, running, shell, until_gone, with_marker
from skep.model.container import ContainerSpec
from skep.ports.executor import TaskFailed, TaskRejected
from skep.runtime.task_addresses import TaskAddresses


async def test_a_task_that_ends_well_is_complete(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = cluster.controller(shell("exit 0"))
        assert controller.status is None
        await controller.prepare()
        prepared = controller.status
        assert prepared is not None
        assert len(prepared.container_id) == 64
        await controller.start()
        await controller.wait()
        assert controller.status == prepared


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
async def test_another_exit_is_a_failure_with_its_code(tmp_path: Path, script: str, code: int) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell(script))
        with pytest.raises(TaskFailed) as failed:
            await controller.wait()
        assert str(failed.value) == f"task: non-zero exit ({code})"
        assert failed.value.exit_code == code
        assert controller.status is not None
        assert controller.status.exit_code == code


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        (ContainerSpec(command=("nosuch",)), 127, 'exec: "nosuch": executable file not found in $PATH'),
        (ContainerSpec(command=("/no/such",)), 127, 'exec: "/no/such": stat /no/such: no such file or directory'),
        (ContainerSpec(command=("/etc/passwd",)), 126, 'exec: "/etc/passwd": permission denied'),
        (shell("true", dir="/no/such"), 127, 'chdir to cwd ("/no/such") failed: no such file or directory'),
        (shell("true", user="nosuch"), 128, "unable to find user nosuch: no matching entries in passwd file"),
        (shell("true", groups=("nosuch",)), 128, "unable to find group nosuch: no matching entries in group file"),
    ],
)
async def test_what_cannot_start_fails_in_dockers_words(
    tmp_path: Path, spec: ContainerSpec, code: int, words: str
) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskFailed) as failed:
            await cluster.started(spec)
        assert str(failed.value).startswith("starting container failed: ")
        assert str(failed.value).endswith(words)
        assert failed.value.exit_code == code


async def test_an_unknown_signal_is_rejected(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskRejected, match=r"^Invalid signal: BOGUS$"):
            await cluster.controller(shell("true", stop_signal="BOGUS")).prepare()


@pytest.mark.parametrize("name", ["SIGUSR1", "usr1", "10"])
async def test_the_stop_signal_is_the_specs(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as cluster:
        script = "trap 'echo bye; exit 0' USR1; echo up; while :; do sleep 0.02; done"
        controller = await cluster.started(shell(script, stop_signal=name))
        await cluster.lines.first(controller.task_id)
        await controller.stop(5)
        await controller.wait()
        assert cluster.lines.text(controller.task_id) == "up\nbye\n"


async def test_the_stop_signal_goes_to_the_main_process_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        child = "(trap 'echo child' TERM; while :; do sleep 0.02; done) &"
        main = "trap 'echo main; sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.02; done"
        controller = await cluster.started(shell(f"{child} {main}"))
        await cluster.lines.first(controller.task_id)
        await controller.stop(5)
        await controller.wait()
        assert cluster.lines.text(controller.task_id) == "up\nmain\n"


async def test_after_the_grace_it_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("trap '' TERM; echo up; while :; do sleep 0.02; done"))
        await cluster.lines.first(controller.task_id)
        began = time.monotonic()
        stopping = asyncio.ensure_future(controller.stop(0.3))
        await asyncio.sleep(0.1)
        assert controller.status is not None
        assert controller.status.exit_code == -1
        await stopping
        assert 0.3 <= time.monotonic() - began < 1
        with pytest.raises(TaskFailed, match=r"non-zero exit \(137\)"):
            await controller.wait()


async def test_a_second_stop_may_shorten_the_grace(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("trap '' TERM; while :; do sleep 0.02; done"))
        first = asyncio.ensure_future(controller.stop(60))
        await asyncio.sleep(0.05)
        await controller.stop(0.1)
        async with asyncio.timeout(1):
            await first


async def test_stop_may_come_while_it_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        marker = new_marker()
        for turns in range(12):
            controller = cluster.controller(shell(f"sleep {marker}"))
            await controller.prepare()
            starting = asyncio.ensure_future(controller.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            await controller.stop(1 if turns % 2 else 0)
            await asyncio.wait({starting})
            assert starting.exception() is None or isinstance(starting.exception(), TaskFailed)
            with pytest.raises(TaskFailed):
                await controller.wait()
            assert not with_marker(marker)


async def test_a_stop_that_was_cancelled_before_its_signal_is_made_up_for(tmp_path: Path) -> None:
    """An agent that ends cancels its stops, and then the executor stops what is left."""
    async with running(tmp_path) as cluster:
        for turns in range(12):
            controller = cluster.controller(shell("exec sleep 1000"))
            await controller.prepare()
            starting = asyncio.ensure_future(controller.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            stopping = asyncio.ensure_future(controller.stop(60))
            await asyncio.sleep(0)
            stopping.cancel()
            async with asyncio.timeout(5):
                await controller.stop(60)
            await asyncio.wait({starting, stopping})
            assert starting.exception() is None or isinstance(starting.exception(), TaskFailed)


async def test_a_start_that_is_cancelled_can_be_asked_for_again(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = cluster.controller(shell("echo once; sleep 100"))
        await controller.prepare()
        starting = asyncio.ensure_future(controller.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        await controller.start()
        await cluster.lines.first(controller.task_id)
        await controller.stop(0)
        assert cluster.lines.text(controller.task_id) == "once\n"


async def test_each_call_may_be_repeated(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("exit 0"))
        await controller.prepare()
        await controller.start()
        await controller.wait()
        await controller.wait()
        await controller.stop(1)
        await controller.stop(1)
        await controller.remove()
        await controller.remove()
        assert not list((tmp_path / "tasks").iterdir())
        assert not list((tmp_path / "work").iterdir())


async def test_remove_ends_what_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("sleep 1000"))
        assert controller.status is not None
        pid = controller.status.pid
        assert exists(pid)
        await controller.remove()
        assert not exists(pid)


async def test_closing_ends_every_task(tmp_path: Path) -> None:
    marker = new_marker()
    async with running(tmp_path) as cluster:
        for _ in range(5):
            await cluster.started(shell(f"trap '' TERM; setsid sleep {marker} & sleep {marker}"))
        assert len(with_marker(marker)) >= 10
    await until_gone(marker, 0.01)


async def test_closing_sends_each_task_its_stop_signal_and_waits(tmp_path: Path) -> None:
    async with running(tmp_path / "state", stop_s=10) as cluster:
        for number, name in enumerate(("TERM", "USR1", "INT")):
            last = f"trap 'sleep 0.2; echo {name} > {tmp_path}/{number}; exit 0' {name}"
            controller = await cluster.started(
                shell(f"{last}; echo up; while :; do sleep 0.02; done", stop_signal=name)
            )
            await cluster.lines.first(controller.task_id)
        began = time.monotonic()
    assert [(tmp_path / str(number)).read_text() for number in range(3)] == ["TERM\n", "USR1\n", "INT\n"]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("stop_s", "grace_s"), [(0.3, 60), (60, 0.3)])
async def test_closing_waits_for_a_tasks_grace_and_no_longer_than_its_own(
    tmp_path: Path, stop_s: float, grace_s: float
) -> None:
    marker = new_marker()
    async with running(tmp_path, stop_s=stop_s) as cluster:
        for _ in range(3):
            script = f"trap '' TERM; echo up; while :; do sleep 0.02; done; echo {marker}"
            controller = await cluster.started(shell(script, stop_grace_period=int(grace_s * 10**9)))
            await cluster.lines.first(controller.task_id)
        began = time.monotonic()
    assert 0.3 <= time.monotonic() - began < 5
    await until_gone(marker, 0.01)


async def test_the_node_describes_the_machine(tmp_path: Path) -> None:
    async with running(tmp_path, hostname="bee-1") as cluster:
        node = cluster.executor.describe()
        assert node.hostname == "bee-1"
        assert node.platform is not None
        assert node.platform.os == "linux"
        assert node.resources is not None
        assert node.resources.nano_cpus >= 10**9
        assert node.resources.memory_bytes > 10**8
        assert node.engine is not None
        assert node.engine.engine_version.startswith("skep ")


async def test_a_task_finds_its_own_address_which_is_free_again_once_it_is_removed(tmp_path: Path) -> None:
    addresses = TaskAddresses("127.100.0.0/30")
    async with running(tmp_path, addresses=addresses) as cluster:
        script = shell("echo $SKEP_TASK_ADDR", env=("SKEP_TASK_ADDR=1.2.3.4",))
        assert await cluster.output(script) == "127.100.0.1\n"
        second = await cluster.started(script)
        await second.wait()
        assert cluster.lines.text(second.task_id) == "127.100.0.2\n"
        await second.remove()
        assert addresses.taken == 1
