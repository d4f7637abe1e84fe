"""Services of coroutines behave as Swarm's: updates, rollbacks, health, jobs, and many replicas."""

import asyncio
import contextlib

import pytest
import skep
from msgspec.structs import replace
from skep.model.container import HealthConfig
from skep.model.ids import NANOSECONDS
from skep.model.service import RestartPolicy, ServiceSpec, UpdateConfig
from skep.model.states import Mode, TaskState
from skep.runtime.cluster import Cluster

from tests.coroutines.running import container_of, running, task_in, text, with_container

CHECK = HealthConfig(interval=NANOSECONDS, timeout=NANOSECONDS, retries=2)
ONCE = RestartPolicy(condition="none")


def bind(cluster: Cluster, name: str, runs: list[str]) -> None:
    @cluster.image(name)
    async def worker(_task: skep.TaskContext) -> None:
        runs.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            runs.remove(name)


async def update(cluster: Cluster, image: str) -> None:
    service = await cluster.services.get("web")
    container = replace(container_of(service.spec), image=image)
    await cluster.services.update(service.id, service.version, with_container(service.spec, container))


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
async def test_a_rolling_update_goes_from_one_function_to_another(order: str) -> None:
    runs: list[str] = []
    counts = set()
    async with running(nodes=2) as cluster:
        bind(cluster, "worker:v1", runs)
        bind(cluster, "worker:v2", runs)
        rolling = UpdateConfig(parallelism=1, delay=NANOSECONDS, order=order, monitor=NANOSECONDS)
        await cluster.services.create(skep.service_spec("web", "worker:v1", replicas=4, update=rolling))
        await cluster.converged("web")
        assert runs == ["worker:v1"] * 4
        await update(cluster, "worker:v2")
        while "worker:v1" in runs:
            counts.add(len(runs))
            await asyncio.sleep(0.001)
        await cluster.converged("web")
        await asyncio.sleep(1)
        assert runs == ["worker:v2"] * 4
        assert max(counts) <= 5 if order == "start-first" else max(counts) == 4
        assert min(counts) >= 4 if order == "start-first" else min(counts) >= 3


@pytest.mark.parametrize("image", ["worker:bad", "worker:unbound"])
async def test_an_update_that_fails_is_rolled_back(image: str) -> None:
    runs: list[str] = []
    async with running(nodes=2) as cluster:
        bind(cluster, "worker:v1", runs)

        @cluster.image("worker:bad")
        async def bad(_task: skep.TaskContext) -> None:
            await asyncio.sleep(0.5)
            raise ValueError("does not work")

        rolling = UpdateConfig(parallelism=1, failure_action="rollback", monitor=5 * NANOSECONDS)
        await cluster.services.create(skep.service_spec("web", "worker:v1", replicas=3, update=rolling))
        await cluster.converged("web")
        await update(cluster, image)
        await asyncio.sleep(60)
        await cluster.converged("web")
        service = await cluster.services.get("web")
        assert container_of(service.spec).image == "worker:v1"
        assert service.update_status is not None
        assert service.update_status.state.value == "rollback_completed"
        assert runs == ["worker:v1"] * 3


def checked(*test: str) -> ServiceSpec:
    return skep.service_spec("web", "worker", restart=ONCE, healthcheck=replace(CHECK, test=test))


async def test_a_task_is_starting_until_it_is_healthy() -> None:
    async with running() as cluster:
        well = asyncio.Event()

        async def health(_task: skep.TaskContext) -> bool:
            return well.is_set()

        @cluster.image("worker", health=health)
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.sleep(1.5)
            well.set()
            await asyncio.Event().wait()

        await cluster.services.create(checked())
        began = asyncio.get_running_loop().time()
        await task_in(cluster, TaskState.STARTING)
        await cluster.converged("web")
        assert 2 <= asyncio.get_running_loop().time() - began < 2.5


@pytest.mark.parametrize("how", ["false", "raises", "hangs", "ignores"])
async def test_one_that_becomes_unhealthy_is_stopped_and_failed(how: str) -> None:
    sick, over = asyncio.Event(), asyncio.Event()
    asked_when_sick = 0
    async with running() as cluster:

        async def health(_task: skep.TaskContext) -> bool:
            nonlocal asked_when_sick
            asked_when_sick += sick.is_set()
            match how if sick.is_set() else "":
                case "false":
                    return False
                case "raises":
                    raise OSError("no connection")
                case "hangs":
                    await asyncio.Event().wait()
                case "ignores":
                    while not over.is_set():
                        with contextlib.suppress(asyncio.CancelledError):
                            await over.wait()
            return True

        @cluster.image("worker", health=health)
        async def worker(task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                task.print("bye")

        await cluster.services.create(checked("CMD", "true"))
        await cluster.converged("web")
        sick.set()
        task = await task_in(cluster, TaskState.FAILED)
        assert task.status.err == "task: non-zero exit (143): dockerexec: unhealthy container"
        assert await text(cluster, "web") == "bye\n"
        assert asked_when_sick == (1 if how == "ignores" else 2), "it is asked one question at a time"
        over.set()


async def test_one_that_never_is_healthy_does_not_start() -> None:
    async with running() as cluster:

        async def health(_task: skep.TaskContext) -> bool:
            return False

        @cluster.image("worker", health=health)
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.Event().wait()

        await cluster.services.create(checked())
        task = await task_in(cluster, TaskState.FAILED)
        assert (task.status.message, task.status.err) == (
            "starting",
            "task: non-zero exit (143): dockerexec: unhealthy container",
        )


async def test_one_that_fails_before_it_is_healthy_fails_with_its_own_words() -> None:
    async with running() as cluster:

        async def health(_task: skep.TaskContext) -> None: ...

        @cluster.image("worker", health=health)
        async def worker(_task: skep.TaskContext) -> None:
            raise ValueError("no queue")

        await cluster.services.create(checked())
        task = await task_in(cluster, TaskState.FAILED)
        assert (task.status.message, task.status.err) == ("starting", "task: non-zero exit (1): ValueError: no queue")


async def test_a_check_that_the_spec_turned_off_is_not_asked() -> None:
    async with running() as cluster:

        async def health(_task: skep.TaskContext) -> bool:
            return False

        @cluster.image("worker", health=health)
        async def worker(_task: skep.TaskContext) -> None:
            await asyncio.Event().wait()

        await cluster.services.create(checked("NONE"))
        await cluster.converged("web")
        await asyncio.sleep(600)
        assert [task.state for task in await cluster.tasks.list("web")] == [TaskState.RUNNING]


async def test_a_job_runs_its_function_so_often() -> None:
    done = []
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            await asyncio.sleep(1)
            done.append(task.slot)

        await cluster.services.create(
            skep.service_spec("web", "worker", mode=Mode.REPLICATED_JOB, replicas=7, max_concurrent=2)
        )
        await cluster.converged("web")
        assert sorted(done) == list(range(7))


async def test_a_thousand_replicas_are_run_updated_and_stopped() -> None:
    runs: list[str] = []
    async with running(nodes=10) as cluster:
        bind(cluster, "worker:v1", runs)
        bind(cluster, "worker:v2", runs)
        at_once = UpdateConfig(parallelism=0)
        await cluster.services.create(skep.service_spec("web", "worker:v1", replicas=1000, update=at_once))
        await cluster.converged("web")
        assert runs == ["worker:v1"] * 1000
        await update(cluster, "worker:v2")
        await cluster.converged("web")
        assert runs.count("worker:v2") == 1000
        await cluster.services.scale("web", 0)
        await cluster.converged("web")
    assert runs == []


async def test_a_drained_node_is_left() -> None:
    where: list[str] = []
    async with running(nodes=2) as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            where.append(task.node)
            try:
                await asyncio.Event().wait()
            finally:
                where.remove(task.node)

        await cluster.services.create(skep.service_spec("web", "worker", replicas=4))
        await cluster.converged("web")
        node = await cluster.nodes.get("node2")
        await cluster.nodes.update(node.id, node.version, replace(node.spec, availability="drain"))
        await asyncio.sleep(30)
        await cluster.converged("web")
        assert where == ["node1"] * 4


async def test_a_function_may_call_its_own_cluster() -> None:
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            if task.slot == 1:
                await cluster.services.scale(task.service, 4)
            await asyncio.Event().wait()

        await cluster.services.create(skep.service_spec("web", "worker"))
        await asyncio.sleep(1)
        await cluster.converged("web")
        assert len(await cluster.tasks.list("web")) == 4


async def test_one_that_calls_its_cluster_while_that_ends_gets_an_answer() -> None:
    answers: list[str] = []
    async with running() as cluster:

        @cluster.image("worker")
        async def worker(task: skep.TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                try:
                    await cluster.services.scale(task.service, 4)
                except skep.EngineError as error:
                    answers.append(type(error).__name__)

        await cluster.services.create(skep.service_spec("web", "worker"))
        await cluster.converged("web")
    assert answers == ["Unavailable"]
