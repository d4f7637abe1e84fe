"""What is assigned: COMPLETE and INCREMENTAL messages, removal, dependencies."""

import asyncio
from collections.abc import Mapping
from typing import Any

from skep.model.container import ConfigReference, SecretReference
from skep.model.ids import ConfigId, Instant, SecretId
from skep.model.states import TaskState
from skep.ports.executor import LineSink
from skep.ports.lines import Line, Stream
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import Behaviour, SimulatedController, SimulatedExecutor

from tests.agent.running import running
from tests.agent.scripted import NODE, ScriptedLink, task
from tests.agent.virtual import START_NS, LoopClock


class WatchedExecutor(SimulatedExecutor):
    """Notes what controllers are made with, and whether it is open."""

    def __init__(self) -> None:
        super().__init__(clock=LoopClock())
        self.seen: dict[str, tuple[list[str], list[str]]] = {}
        self.opened = 0
        self.closed = 0

    async def open(self, sink: LineSink) -> None:
        self.opened += 1
        await super().open(sink)

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> SimulatedController:
        self.seen[task.id] = ([each.name for each in secrets.values()], [each.name for each in configs.values()])
        return super().controller(task, secrets=secrets, configs=configs)

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


async def test_what_a_complete_message_does_not_name_is_stopped_and_removed_without_a_word() -> None:
    async with running(Behaviour(stop_s=2)) as rig:
        rig.link.complete(task("a"), task("b"))
        await rig.link.until_state(TaskState.RUNNING, "b")
        rig.link.complete(task("b"))
        await asyncio.sleep(20)
        assert [kept.id for kept in rig.executor.kept()] == ["b"]
        assert rig.link.states("a") == [TaskState.RUNNING]


async def test_an_empty_complete_message_removes_all() -> None:
    async with running() as rig:
        rig.link.complete(task("a"), task("b"))
        await rig.link.until_state(TaskState.RUNNING, "b")
        rig.link.complete()
        await rig.link.until(lambda: not rig.executor.kept())


async def test_a_removed_task_leaves_no_lines_and_no_report() -> None:
    async with running(Behaviour(stop_s=2)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        await rig.lines.append(task().id, [Line(Instant(START_NS), Stream.STDOUT, b"one\n")])
        rig.link.change(remove=[task()])
        await asyncio.sleep(1)
        assert await rig.lines.last(task().id) == 1
        await asyncio.sleep(2)
        assert await rig.lines.last(task().id) == 0
        assert rig.link.states() == [TaskState.RUNNING]


async def test_a_task_is_removed_after_its_orderly_end() -> None:
    async with running() as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await rig.link.until_state(TaskState.SHUTDOWN)
        assert rig.executor.kept()
        rig.link.change(remove=[task()])
        await rig.link.until(lambda: not rig.executor.kept())


async def test_a_task_that_is_removed_while_it_stops_is_gone_when_it_stopped() -> None:
    async with running(Behaviour(stop_s=5)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(task(desired=TaskState.SHUTDOWN))
        await asyncio.sleep(1)
        rig.link.change(remove=[task()])
        await asyncio.sleep(5)
        assert not rig.executor.kept()
        assert rig.link.states() == [TaskState.RUNNING]


async def test_a_task_that_is_removed_while_it_is_prepared_is_gone_at_once() -> None:
    async with running(Behaviour(pull_s=60)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.PREPARING)
        rig.link.change(remove=[task()])
        await rig.link.until(lambda: not rig.executor.kept(), within_s=0.1)


async def test_a_task_that_comes_back_while_it_is_removed_begins_once_it_is_gone() -> None:
    async with running(Behaviour(stop_s=5)) as rig:
        rig.link.complete(task())
        await rig.link.until_state(TaskState.RUNNING)
        rig.link.change(remove=[task()])
        rig.link.change(task())
        await asyncio.sleep(4)
        assert rig.link.states() == [TaskState.RUNNING]
        await asyncio.sleep(2)
        assert rig.link.states() == [TaskState.RUNNING, TaskState.RUNNING]


async def test_an_incremental_message_that_does_not_apply_ends_the_session_and_changes_nothing() -> None:
    async with running() as rig:
        rig.link.complete(task("a"))
        await rig.link.until_state(TaskState.RUNNING, "a")
        rig.link.change(task("b"), applies_to="17")
        await rig.link.until(lambda: len(rig.link.requests) == 2)
        await asyncio.sleep(1)
        assert rig.link.states("b") == []
        assert [kept.id for kept in rig.executor.kept()] == ["a"]


async def test_an_incremental_message_before_a_complete_one_ends_the_session() -> None:
    async with running() as rig:
        await rig.link.until(lambda: rig.link.heartbeats > 0)
        rig.link.change(task("b"))
        await rig.link.until(lambda: len(rig.link.requests) == 2)
        assert rig.link.states("b") == []


async def test_incremental_messages_apply_one_to_the_other() -> None:
    async with running() as rig:
        rig.link.complete()
        await rig.link.until(lambda: rig.link.heartbeats > 0)
        for name in "abc":
            rig.link.change(task(name))
        await rig.link.until_state(TaskState.RUNNING, "c")
        rig.link.change(remove=[task("a")])
        await rig.link.until(lambda: [kept.id for kept in rig.executor.kept()] == ["b", "c"])
        assert len(rig.link.requests) == 1


async def test_a_controller_gets_the_secrets_and_configs_that_its_task_references() -> None:
    references: dict[str, Any] = {
        "secrets": (SecretReference(secret_id="s", secret_name="key"),),  # noqa: S106 - names
        "configs": (ConfigReference(config_id="c", config_name="conf"),),
    }
    link, executor, clock = ScriptedLink(), WatchedExecutor(), LoopClock()
    secret = AssignedSecret(SecretId("s"), "key", b"hidden")
    config = AssignedConfig(ConfigId("c"), "conf", b"")
    agent = Agent(link, executor, MemoryLineStore(), node_id=NODE, clock=clock)
    async with asyncio.TaskGroup() as group:
        running_agent = group.create_task(agent.run())
        link.complete(secret, config, task("a", **references), task("other"))
        await link.until_state(TaskState.RUNNING, "a")
        link.change(task("b"), remove=[secret])
        link.change(task("c"), remove=[config])
        await link.until_state(TaskState.RUNNING, "c")
        link.complete(task("d", **references))
        await link.until_state(TaskState.RUNNING, "d")
        running_agent.cancel()
    assert executor.seen["a"] == (["key"], ["conf"])
    assert executor.seen["other"] == ([], [])
    assert executor.seen["d"] == ([], [])
    assert "hidden" not in repr(secret)


async def test_an_agent_that_is_cancelled_closes_its_executor_without_waiting_for_any_grace() -> None:
    link, executor = ScriptedLink(), WatchedExecutor()
    agent = Agent(link, executor, MemoryLineStore(), node_id=NODE, clock=LoopClock())
    link.complete(task())
    async with asyncio.TaskGroup() as group:
        running_agent = group.create_task(agent.run())
        await link.until_state(TaskState.RUNNING)
        running_agent.cancel()
    assert (executor.opened, executor.closed) == (1, 1)
    assert not executor.kept()


async def test_a_thousand_tasks_run_and_go() -> None:
    async with running() as rig:
        tasks = [task(f"t{number}") for number in range(1000)]
        rig.link.complete(*tasks)
        await rig.link.until_state(TaskState.RUNNING, "t999")
        assert sum(len(batch) for batch in rig.link.batches) == 1000
        rig.link.complete()
        await rig.link.until(lambda: not rig.executor.kept())
