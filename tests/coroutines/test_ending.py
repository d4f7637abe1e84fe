"""How coroutines end: by themselves, by an exception, by a stop that they heed, or not at all."""

import asyncio
from collections.abc import Callable

import pytest
import skep
from skep.model.service import RestartPolicy, ServiceSpec
from skep.model.states import TaskState
from skep.model.task import Task
from skep.runtime.cluster import Cluster
from structlog.testing import capture_logs

from tests.coroutines.running import running, task_in, text

ONCE = RestartPolicy(condition="none")


def graceful(grace_s: float, image: str = "worker") -> ServiceSpec:
    return skep.service_spec("web", image, restart=ONCE, stop_grace_s=grace_s)


async def stop_one(cluster: Cluster) -> tuple[float, Task]:
    """Replace the task by one of another image; return how many seconds it needed to end, and what became of it."""
    cluster.image("next")(forever)
    old = await task_in(cluster, TaskState.RUNNING)
    service = await cluster.services.get("web")
    began = asyncio.get_running_loop().time()
    await cluster.services.update(service.id, service.version, graceful(5, "next"))
    while not (await cluster.tasks.get(old.id)).state.terminal:  # noqa: ASYNC110 - of the state there is no event
        await asyncio.sleep(0.01)
    took_s = asyncio.get_running_loop().time() - began
    await cluster.converged("web")
    return took_s, await cluster.tasks.get(old.id)


async def forever(_task: skep.TaskContext) -> None:
    await asyncio.Event().wait()


async def test_one_that_returns_is_complete() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> int:
            return 5

        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        task = await task_in(cluster, TaskState.COMPLETE)
        assert task.status.err == ""


def raises(error: Callable[[], BaseException]) -> Callable[[skep.TaskContext], object]:
    async def worker(_task: skep.TaskContext) -> None:
        raise error()

    return worker


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (lambda: ValueError("no such queue\nat all"), 1, "task: non-zero exit (1): ValueError: no such queue"),
        (lambda: ExceptionGroup("two", [OSError(), OSError()]), 1, "two (2 sub-exceptions)"),
        (lambda: SystemExit(3), 3, "task: non-zero exit (3)"),
        (lambda: SystemExit("no"), 1, "task: non-zero exit (1): no"),
        (asyncio.CancelledError, 143, "task: non-zero exit (143)"),
        (lambda: ValueError("x" * 9000), 1, f"ValueError: {'x' * 288}…"),
    ],
)
async def test_an_exception_is_a_failure_with_its_message(
    error: Callable[[], BaseException], code: int, err: str
) -> None:
    async with running() as cluster:
        cluster.image("worker")(raises(error))  # type: ignore[arg-type]  # an async function, made by a function
        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        task = await task_in(cluster, TaskState.FAILED)
        assert task.status.err.endswith(err)
        assert task.status.err.startswith(f"task: non-zero exit ({code})")
        assert task.status.container is not None
        assert task.status.container.exit_code == code


async def test_its_traceback_is_what_it_printed_and_begins_at_the_function() -> None:
    async with running() as cluster:
        cluster.image("worker")(raises(lambda: ValueError("no such queue")))  # type: ignore[arg-type]  # likewise
        await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
        await task_in(cluster, TaskState.FAILED)
        printed = (await text(cluster, "web")).splitlines()
        assert printed[0] == "Traceback (most recent call last):"
        assert __file__ in printed[1]
        assert printed[-1] == "ValueError: no such queue"


async def test_what_ended_is_restarted_as_its_service_says() -> None:
    runs = []
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            runs.append(task.task_id)
            if len(runs) < 3:
                raise ValueError("not yet")
            await asyncio.Event().wait()

        await cluster.services.create(skep.service_spec("web", "worker"))
        await task_in(cluster, TaskState.RUNNING, None)
        await asyncio.sleep(60)
        await cluster.converged("web")
        assert len(set(runs)) == 3


async def test_a_stop_is_a_cancellation_and_leaves_time_for_cleaning_up() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(2)
                task.print("clean")

        await cluster.services.create(graceful(5))
        took_s, task = await stop_one(cluster)
        assert 2 <= took_s < 3
        assert await text(cluster, "web") == "clean\n"
        assert (task.state, task.status.err) == (TaskState.SHUTDOWN, "")
        assert task.status.container is not None
        assert task.status.container.exit_code == 143


async def test_after_its_grace_it_is_cancelled_again() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task.print("bye")
                await asyncio.sleep(3600)

        await cluster.services.create(graceful(5))
        took_s, task = await stop_one(cluster)
        assert 5 <= took_s < 6
        assert task.state is TaskState.SHUTDOWN
        assert task.status.container is not None
        assert task.status.container.exit_code == 137
        assert not cluster.images.abandoned


async def test_one_that_ignores_that_too_is_abandoned_and_told() -> None:
    may_end = asyncio.Event()
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    task.print("no")

        await cluster.services.create(graceful(5))
        with capture_logs() as logged:
            took_s, task = await stop_one(cluster)
        assert 6 <= took_s < 7
        assert task.state is TaskState.FAILED
        assert task.status.err == (
            "task: non-zero exit (137): it ignored its cancellation for 6 s and was abandoned: it may go on"
        )
        name = f"web.1.{task.id}"
        assert cluster.images.abandoned == {name}
        assert [(each["event"], each["task"]) for each in logged] == [("coroutine.abandoned", name)]

        # its service can be removed, and its address is still its own
        assert len(cluster.images.addresses._given) == 2
        await cluster.services.remove((await cluster.services.get("web")).id)
        await cluster.gone("web")
        assert len(cluster.images.addresses._given) == 1
        may_end.set()
        await asyncio.sleep(0.1)
        assert not cluster.images.abandoned
        assert len(cluster.images.addresses._given) == 0


async def test_leaving_the_block_cancels_all_and_waits_for_them() -> None:
    ended = []
    async with running(nodes=3) as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(task.slot)
                ended.append(task.slot)

        await cluster.services.create(skep.service_spec("web", "worker", replicas=6))
        await cluster.converged("web")
        began = asyncio.get_running_loop().time()
    assert ended == [1, 2, 3, 4, 5, 6]
    assert asyncio.get_running_loop().time() - began < 7


async def test_leaving_the_block_gives_no_more_than_ten_seconds_of_grace() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(3600)

        await cluster.services.create(graceful(600))
        await cluster.converged("web")
        began = asyncio.get_running_loop().time()
    assert 10 <= asyncio.get_running_loop().time() - began < 11


async def test_who_holds_the_loop_is_told() -> None:
    import time  # noqa: PLC0415 - blocking is what is tried here

    async with running() as cluster:

        @cluster.image("worker")
        async def worker(_task: skep.TaskContext) -> None:
            for seconds in (0.11, 0.12, 0.01, 0.25):
                time.sleep(seconds)  # noqa: ASYNC251 - as above
                await asyncio.sleep(1)

        with capture_logs() as logged:
            await cluster.services.create(skep.service_spec("web", "worker", restart=ONCE))
            await task_in(cluster, TaskState.COMPLETE)
        told = [each["seconds"] for each in logged if each["event"] == "coroutine.held_the_loop"]
        assert len(told) == 2
        assert told[0] >= 0.11
        assert told[1] >= 0.25
