"""Which failure stops what, and how an agent ends."""

import asyncio

import anyio
import pytest
from skep.model.states import TaskState
from skep.ports.executor import LineSink, TaskController
from skep.ports.link import AssignedTask
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviour, SimulatedController, SimulatedExecutor

from tests.agent.running import running
from tests.agent.scripted import NODE, ScriptedLink, task
from tests.agent.virtual import LoopClock


class Faulty(SimulatedController):
    """Fails as `fault` says, in the step that the image's name says."""

    fault: Exception = OSError("no space left on device")

    def fail(self, step: str) -> None:
        spec = self.task.template.spec.container_spec
        if spec is not None and spec.image == step:
            raise self.fault

    async def prepare(self) -> None:
        self.fail("prepare")
        await super().prepare()

    async def start(self) -> None:
        self.fail("start")
        await super().start()

    async def stop(self, grace_s: float) -> None:
        self.fail("stop")
        await super().stop(grace_s)

    async def remove(self) -> None:
        self.fail("remove")
        await super().remove()


class FaultyExecutor(SimulatedExecutor):
    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__(clock=LoopClock())
        self._fault = fault
        self.fail_open: Exception | None = None
        self.closed = 0

    async def open(self, sink: LineSink) -> None:
        if self.fail_open:
            raise self.fail_open
        await super().open(sink)

    def controller(self, task: AssignedTask, **_: object) -> SimulatedController:
        controller = Faulty(task, Behaviour(), self)
        if self._fault is not None:
            controller.fault = self._fault
        return controller

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


def agent_of(link: ScriptedLink, executor: SimulatedExecutor) -> Agent:
    return Agent(link, executor, MemoryLineStore(), node_id=NODE, clock=LoopClock())


@pytest.mark.parametrize(("step", "message"), [("prepare", "preparing"), ("start", "starting")])
async def test_an_environment_error_fails_the_task_and_no_other(step: str, message: str) -> None:
    link = ScriptedLink()
    link.complete(task("bad", image=step), task("good"))
    async with asyncio.TaskGroup() as group:
        agent = group.create_task(agent_of(link, FaultyExecutor()).run())
        status = await link.until_state(TaskState.FAILED, "bad")
        await link.until_state(TaskState.RUNNING, "good")
        agent.cancel()
    assert (status.message, status.err) == (message, "no space left on device")


async def test_a_task_that_cannot_be_stopped_has_failed_and_one_that_cannot_be_removed_is_let_go() -> None:
    link = ScriptedLink()
    link.complete(task("a", image="stop"), task("b", image="remove"), task("c"))
    async with asyncio.TaskGroup() as group:
        agent = group.create_task(agent_of(link, FaultyExecutor()).run())
        await link.until_state(TaskState.RUNNING, "c")
        link.change(task("a", image="stop", desired=TaskState.SHUTDOWN))
        await link.until_state(TaskState.FAILED, "a")
        link.complete(task("c"))
        await asyncio.sleep(9)
        assert len(link.requests) == 1
        agent.cancel()


async def test_a_broken_controller_ends_the_agent_and_its_executor() -> None:
    link, executor = ScriptedLink(), FaultyExecutor(ZeroDivisionError("a bug"))
    link.complete(task(image="start"))
    with pytest.RaisesGroup(ZeroDivisionError):
        await agent_of(link, executor).run()
    assert executor.closed == 1
    assert link.current is None


async def test_an_executor_that_cannot_be_opened_ends_the_agent_before_it_registers() -> None:
    link, executor = ScriptedLink(), FaultyExecutor()
    executor.fail_open = OSError("processes of an earlier life run and cannot be killed")
    with pytest.raises(OSError, match="earlier life"):
        await agent_of(link, executor).run()
    assert link.requests == []


@pytest.mark.parametrize("desired", [TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN])
async def test_an_agent_is_cancelled_by_anyio_whatever_its_tasks_do(desired: TaskState) -> None:
    link = ScriptedLink()
    executor = SimulatedExecutor(Behaviour(stop_s=99), clock=LoopClock())
    link.complete(task())
    async with anyio.create_task_group() as group:
        group.start_soon(agent_of(link, executor).run)
        await link.until_state(TaskState.RUNNING)
        link.change(task(desired=desired))
        await asyncio.sleep(1)
        group.cancel_scope.cancel()
    assert asyncio.get_running_loop().time() < 2
    assert not executor.kept()


async def test_an_agent_that_is_cancelled_in_the_breath_a_task_is_stopped_ends() -> None:
    async with running(Behaviour(stop_s=9)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await asyncio.sleep(0)
    assert not rig.executor.kept()


def test_the_simulated_controller_is_a_task_controller() -> None:
    controller: TaskController = SimulatedController(task(), Behaviour(), SimulatedExecutor(clock=LoopClock()))
    assert controller.status is None
    assert controller.ports == ()
