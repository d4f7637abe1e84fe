"""What reaches a coroutine: its place, its variables, secrets and configs; and where none of that may be."""

import asyncio

import pytest
import skep
from msgspec.structs import replace
from skep.model.container import Mount
from skep.model.service import RestartPolicy
from skep.model.states import Mode, TaskState
from skep.runtime.memory import MemoryStorage
from structlog.testing import capture_logs

from tests.coroutines.running import container_of, lines, record_text, running, task_in, text, with_container

ONCE = RestartPolicy(condition="none")


async def test_a_function_knows_who_it_is() -> None:
    seen: list[skep.TaskContext] = []
    async with running(nodes=2) as cluster:

        @cluster.image("worker:v2")
        async def worker(task: skep.TaskContext) -> None:
            seen.append(task)
            await asyncio.Event().wait()

        spec = skep.service_spec("web", "worker:v2", args=["a", "b"], replicas=2, env={"COLOUR": "red"})
        spec = with_container(spec, replace(container_of(spec), env=("COLOUR=red", "HOSTNAME", "SLOT={{.Task.Slot}}")))
        await cluster.services.create(spec)
        await cluster.converged("web")
        tasks = {task.id: task for task in await cluster.tasks.list("web")}
        assert {each.slot for each in seen} == {1, 2}
        assert {each.node for each in seen} == {"node1", "node2"}
        assert len({each.addr for each in seen}) == 2
        for each in seen:
            assert each.node_id == tasks[each.task_id].node_id
            assert (each.service, each.image, each.args) == ("web", "worker:v2", ("a", "b"))
            assert each.name == f"web.{each.slot}.{each.task_id}"
            assert each.env["SLOT"] == str(each.slot)
            assert each.env["SKEP_TASK_ADDR"] == each.addr
            assert each.env["COLOUR"] == "red"
            assert "HOSTNAME" not in each.env
            with pytest.raises(TypeError):
                each.env["COLOUR"] = "blue"  # type: ignore[index]  # it must not be possible


async def test_an_address_comes_back_when_its_task_ended() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.Event().wait()

        await cluster.services.create(skep.service_spec("web", "worker", replicas=5))
        await cluster.converged("web")
        assert len(cluster.images.addresses._given) == 5
        await cluster.services.scale("web", 2)
        await cluster.converged("web")
        await asyncio.sleep(1)
        assert len(cluster.images.addresses._given) == 2


async def test_a_global_service_has_one_on_each_node_without_a_slot() -> None:
    seen = []
    async with running(nodes=3) as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            seen.append((task.node, task.slot))
            await asyncio.Event().wait()

        await cluster.services.create(skep.service_spec("web", "worker", mode=Mode.GLOBAL))
        await cluster.converged("web")
        assert sorted(seen) == [("node1", 0), ("node2", 0), ("node3", 0)]


async def test_secrets_and_configs_are_values() -> None:
    seen: list[tuple[bytes, bytes]] = []
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            seen.append((task.secrets["password"], task.configs["settings"]))
            with pytest.raises(KeyError, match="the service has no secret nosuch"):
                task.secrets["nosuch"]
            await asyncio.Event().wait()

        await cluster.secrets.create(skep.SecretSpec("password"), b"hunter2\n")
        await cluster.configs.create(skep.ConfigSpec("settings", data=b"a = 1"))
        secret, config = await cluster.secrets.get("password"), await cluster.configs.get("settings")
        await cluster.services.create(skep.service_spec("web", "worker", secrets=[secret], configs=[config]))
        await cluster.converged("web")
        assert seen == [(b"hunter2\n", b"a = 1")]


async def test_a_secret_gets_into_no_status_log_or_repr() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            task.print(task, task.secrets, task.configs, vars(task))
            password = task.secrets["password"].decode().strip()
            raise PermissionError(f"login with {password!r} or {task.secrets['password']!r} refused")

        await cluster.secrets.create(skep.SecretSpec("password"), b"hunter2\n")
        secret = await cluster.secrets.get("password")
        with capture_logs() as logged:
            await cluster.services.create(skep.service_spec("web", "worker", secrets=[secret], restart=ONCE))
            task = await task_in(cluster, TaskState.FAILED)
            await asyncio.sleep(1)
        assert "login with '[secret password]' or b'[secret password]" in task.status.err
        for shown in (str(logged), await text(cluster, "web"), await record_text(cluster)):
            assert "hunter2" not in shown
        assert "[secret password]" in await text(cluster, "web")


async def test_an_image_that_is_not_bound_is_rejected_until_it_is() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.Event().wait()

        await cluster.services.create(skep.service_spec("web", "worker:v2"))
        task = await task_in(cluster, TaskState.REJECTED)
        assert task.status.err == (
            "No such image: worker:v2: tasks are coroutines here, and no function is bound to that name"
        )
        cluster.image("worker:v2")(worker)
        await cluster.converged("web")


async def test_without_any_image_tasks_are_simulated() -> None:
    async with running() as cluster:
        await cluster.services.create(skep.service_spec("web", "anything"))
        await cluster.converged("web")


async def test_a_mount_is_rejected_and_what_has_no_effect_is_warned_of_once() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.Event().wait()

        spec = skep.service_spec("web", "worker")
        plain = container_of(spec)
        await cluster.services.create(with_container(spec, replace(plain, mounts=(Mount("volume", "v", "/v"),))))
        task = await task_in(cluster, TaskState.REJECTED)
        assert task.status.err.startswith("volume mount v at /v: tasks are coroutines here")
        spec = skep.service_spec("root", "worker", replicas=3)
        with capture_logs() as logged:
            await cluster.services.create(with_container(spec, replace(container_of(spec), user="0", tty=True)))
            await cluster.converged("root")
        assert [each["field"] for each in logged] == ["user", "tty"]


async def test_what_is_bound_before_goes_on_after_a_restart() -> None:
    images = skep.Images()
    started = []

    @images.bind("worker")
    async def worker(task: skep.TaskContext) -> None:
        started.append(task.task_id)
        await asyncio.Event().wait()

    storage = MemoryStorage()
    async with running(images, storage=storage) as cluster:
        await cluster.services.create(skep.service_spec("web", "worker"))
        await cluster.converged("web")
    async with running(images, storage=storage, seed=8) as cluster:
        await asyncio.sleep(30)  # its agent tells that the task is gone, and the restart delay passes
        await cluster.converged("web")
    assert len(set(started)) == 2


def test_only_async_functions_are_bound_and_each_name_once() -> None:
    images = skep.Images()

    class Callable:
        async def __call__(self, task: skep.TaskContext) -> None: ...

    images.bind("object")(Callable())
    images.bind("worker")(Callable())
    images.bind("worker:v2")(Callable())
    with pytest.raises(ValueError, match=r"^image worker:latest is bound already"):
        images.bind("docker.io/library/worker")
    with pytest.raises(TypeError, match="is no async function"):
        images.bind("lambda")(lambda _task: None)  # type: ignore[arg-type,return-value]  # it must not be possible
    assert images.names() == ["object:latest", "worker:latest", "worker:v2"]


def test_a_name_is_read_as_docker_reads_it() -> None:
    images = skep.Images()
    for name in ("worker", "localhost:5000/app/worker:v1"):

        @images.bind(name)
        async def worker(_task: skep.TaskContext) -> None: ...

    for name in ("worker:latest", "worker@sha256:1234", "docker.io/library/worker", "localhost:5000/app/worker:v1@s:1"):
        assert images.find(name) is not None, name
    for name in ("", "worker:v1", "localhost:5000/app/worker", "other/worker"):
        assert images.find(name) is None, name


async def test_what_is_printed_is_its_lines() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            task.print("one", 2, sep="-")
            await asyncio.sleep(1)
            task.print("half ", end="")
            task.print("line", err=True)
            task.log.warning("disk %d%% full", 90)
            task.log.debug("not shown")
            task.print("whole", end="")

        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        await task_in(cluster, TaskState.COMPLETE)
        printed = await lines(cluster, "web")
        assert [(line.stream.name, line.data) for line in printed] == [
            ("STDOUT", b"one-2\n"),
            ("STDERR", b"line\n"),
            ("STDERR", b"WARNING disk 90% full\n"),
            ("STDOUT", b"half whole"),
        ]
        assert 0 <= printed[1].at - printed[0].at - 10**9 < 10**6


async def test_it_may_print_from_other_threads() -> None:
    import threading  # noqa: PLC0415 - threads are what is tried here

    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            thread = threading.Thread(target=lambda: [task.print(number) for number in range(100)])
            thread.start()
            thread.join()
            await asyncio.sleep(0.1)

        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        await task_in(cluster, TaskState.COMPLETE)
        assert (await text(cluster, "web")).split() == [str(number) for number in range(100)]


@pytest.mark.parametrize("drains", [False, True])
async def test_who_prints_too_much_at_once_loses_lines_and_is_told_unless_it_drains(*, drains: bool) -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            for number in range(6000):
                task.print(number)
                if drains and number % 1000 == 0:
                    await task.drain()
            await asyncio.sleep(1)
            task.print("last")

        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        await task_in(cluster, TaskState.COMPLETE)
        printed = (await text(cluster, "web")).splitlines()
        assert printed[-1] == "last"
        assert len(printed) == (6001 if drains else 4098)
        assert ("[skep: 1904 lines (9520 bytes) were dropped here]" in printed) is not drains


async def test_a_line_without_end_is_cut() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            for _ in range(5):
                task.print("x" * 10_000, end="")

        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        await task_in(cluster, TaskState.COMPLETE)
        assert [len(line.data) for line in await lines(cluster, "web")] == [16384, 16384, 16384, 848]
