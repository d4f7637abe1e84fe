"""The contract of `Executor` and `TaskController`, as tests that every implementation passes.

    class TestMyExecutor(ExecutorSuite):
        def another(self) -> Executor: ...
        def steady(self) -> ContainerSpec: ...

What is not said of a task in `skep.ports.executor` is each executor's own, and is not tested here.
"""
# A contract suite is made of asserts, and states its numbers:
# ruff: noqa: S101, PLR2004

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from skep.model.container import ContainerSpec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.service import TaskSpec, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.ports.executor import Executor, TaskController, TaskFailed, TaskRejected
from skep.ports.lines import Line
from skep.ports.link import AssignedTask

#: Nothing here takes as long, on a busy machine either.
SOON_S = 10.0

_numbers = itertools.count(1)


def assigned(spec: ContainerSpec) -> AssignedTask:
    """Return a task of that container that was just assigned."""
    return AssignedTask(
        id=TaskId(f"task{next(_numbers):021}"),
        service_id=ServiceId("service"),
        service_name="web",
        slot=1,
        node_id=NodeId("node"),
        node_hostname="host",
        service_labels={},
        spec_version=Position(1),
        template=TaskTemplate(service_name="web", spec=TaskSpec(container_spec=spec)),
        desired=TaskState.RUNNING,
        status=TaskStatus(state=TaskState.ASSIGNED, at=Instant(0)),
    )


class Opened:
    """An executor that is open, and what its tasks printed."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.printed: dict[TaskId, list[Line]] = {}

    async def sink(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        """Keep lines."""
        self.printed.setdefault(task_id, []).extend(lines)

    def controller(self, task: AssignedTask) -> TaskController:
        """Return the controller of a task without secrets and configs."""
        return self.executor.controller(task, secrets={}, configs={})

    async def started(self, spec: ContainerSpec) -> TaskController:
        """Return the controller of a new task, started."""
        controller = self.controller(assigned(spec))
        await controller.prepare()
        await controller.start()
        return controller


class ExecutorSuite:
    """What `skep.ports.executor` guarantees."""

    def another(self) -> Executor:
        """Return an executor that was not opened."""
        raise NotImplementedError

    def steady(self) -> ContainerSpec:
        """Return what runs until it is stopped, and stops when it is asked to."""
        raise NotImplementedError

    def stubborn(self) -> ContainerSpec:
        """Return what is not stopped by asking, but can be killed."""
        raise NotImplementedError

    def exits(self, exit_code: int) -> ContainerSpec:
        """Return what ends by itself with that exit code; one of 0 and 7."""
        raise NotImplementedError

    def prints(self) -> ContainerSpec:
        """Return what prints the lines `one` and `two`, and ends."""
        raise NotImplementedError

    def unknown(self) -> ContainerSpec:
        """Return what can never run."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Opened]:
        """Open an executor for the length of the block."""
        opened = Opened(self.another())
        try:
            async with asyncio.timeout(SOON_S):
                await opened.executor.open(opened.sink)
                yield opened
        finally:
            await opened.executor.aclose()

    async def test_a_task_that_ends_well_is_waited_for(self) -> None:
        """Its container is known from when it was prepared, and stays the same."""
        async with self.opened() as opened:
            controller = opened.controller(assigned(self.exits(0)))
            assert controller.status is None
            await controller.prepare()
            prepared = controller.status
            assert prepared is not None
            assert prepared.container_id
            await controller.start()
            await controller.wait()
            assert controller.status == prepared

    async def test_another_exit_code_is_a_failure_in_swarms_words(self) -> None:
        """However often it is asked for."""
        async with self.opened() as opened:
            controller = await opened.started(self.exits(7))
            for _ in range(2):
                failure = await _failure(controller)
                assert str(failure).startswith("task: non-zero exit (7)")
                assert failure.exit_code == 7
            assert controller.status is not None
            assert controller.status.exit_code == 7

    async def test_what_can_never_run_is_rejected_before_it_starts(self) -> None:
        """When its controller is made, or when it is prepared; it can be removed."""
        async with self.opened() as opened:
            task = assigned(self.unknown())
            assert str(await _rejection(opened, task)).startswith("No such image: ")
            with suppress(TaskRejected):
                await opened.controller(task).remove()

    async def test_each_step_may_be_asked_for_twice(self) -> None:
        """It runs once."""
        async with self.opened() as opened:
            controller = opened.controller(assigned(self.steady()))
            for step in (controller.prepare, controller.start):
                await step()
                await step()
            await controller.stop(5)
            stopped = controller.status
            await controller.stop(5)
            assert controller.status == stopped
            await controller.remove()
            await controller.remove()

    async def test_a_wait_that_was_cancelled_can_be_asked_for_again(self) -> None:
        """The task knows nothing of it."""
        async with self.opened() as opened:
            controller = await opened.started(self.steady())
            waiting = asyncio.ensure_future(controller.wait())
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert controller.status is not None
            assert controller.status.exit_code == 0
            await controller.stop(5)
            with suppress(TaskFailed):
                await controller.wait()

    async def test_while_it_is_being_stopped_its_exit_code_is_minus_one(self) -> None:
        """And what ignores that it is asked is killed after its grace."""
        async with self.opened() as opened:
            controller = await opened.started(self.stubborn())
            await asyncio.sleep(0.2)  # a process may need a moment to begin to ignore signals
            stopping = asyncio.ensure_future(controller.stop(0.3))
            await asyncio.sleep(0.1)
            assert controller.status is not None
            assert controller.status.exit_code == -1
            await stopping
            assert controller.status.exit_code == 137
            assert (await _failure(controller)).exit_code == 137

    async def test_a_task_may_be_stopped_and_removed_before_it_starts(self) -> None:
        """Prepared or not."""
        async with self.opened() as opened:
            for prepared in (False, True):
                controller = opened.controller(assigned(self.steady()))
                if prepared:
                    await controller.prepare()
                await controller.stop(5)
                await controller.remove()

    async def test_a_controller_is_the_same_until_it_is_removed(self) -> None:
        """A running task that is removed is ended first."""
        async with self.opened() as opened:
            task = assigned(self.steady())
            controller = opened.controller(task)
            assert opened.controller(task) is controller
            await controller.prepare()
            await controller.start()
            await controller.remove()
            assert opened.controller(task) is not controller

    async def test_all_that_it_printed_is_handed_over_when_its_end_is_told(self) -> None:
        """In order, each line with its end."""
        async with self.opened() as opened:
            task = assigned(self.prints())
            controller = opened.controller(task)
            await controller.prepare()
            await controller.start()
            await controller.wait()
            lines = opened.printed[task.id]
            assert [line.data for line in lines] == [b"one\n", b"two\n"]
            assert lines[0].at <= lines[1].at

    async def test_closing_ends_all(self) -> None:
        """And may be asked for twice, or without having been opened."""
        async with self.opened() as opened:
            controllers = [await opened.started(self.steady()) for _ in range(3)]
            await opened.executor.aclose()
            await opened.executor.aclose()
            for controller in controllers:
                with suppress(TaskFailed):
                    await controller.wait()
        await self.another().aclose()


async def _rejection(opened: Opened, task: AssignedTask) -> TaskRejected:
    """Return how a task was rejected, which it must be."""
    try:
        await opened.controller(task).prepare()
    except TaskRejected as rejected:
        return rejected
    raise AssertionError("it was prepared")


async def _failure(controller: TaskController) -> TaskFailed:
    """Return how waiting failed, which it must."""
    try:
        await controller.wait()
    except TaskFailed as failure:
        return failure
    raise AssertionError("it ended well")
