"""Every executor passes the suite of its port."""

import asyncio
from pathlib import Path

import pytest
from skep.model.container import ContainerSpec
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.coroutines.executor import CoroutineExecutor
from skep.runtime.coroutines.images import Images
from skep.runtime.simulated import Behaviour, Printed, SimulatedExecutor
from skep.runtime.sources import SystemClock
from skep.testing.executor_suite import ExecutorSuite
from skep_adapters.process.executor import ProcessExecutor


class ByImage(ExecutorSuite):
    """What a task does is said by its image's name."""

    def steady(self) -> ContainerSpec:
        return ContainerSpec(image="steady")

    def stubborn(self) -> ContainerSpec:
        return ContainerSpec(image="stubborn")

    def exits(self, exit_code: int) -> ContainerSpec:
        return ContainerSpec(image=f"exits-{exit_code}")

    def prints(self) -> ContainerSpec:
        return ContainerSpec(image="prints")

    def unknown(self) -> ContainerSpec:
        return ContainerSpec(image="unknown")


class TestSimulatedExecutor(ByImage):
    def another(self) -> SimulatedExecutor:
        return SimulatedExecutor(
            {
                "stubborn": Behaviour(stop_s=60),
                "exits-0": Behaviour(run_s=0),
                "exits-7": Behaviour(run_s=0, exit_code=7),
                "prints": Behaviour(run_s=0.01, lines=(Printed("one"), Printed("two"))),
                "unknown": Behaviour(reject="No such image: unknown"),
            },
            clock=SystemClock(),
        )


class TestCoroutineExecutor(ByImage):
    def another(self) -> CoroutineExecutor:
        images = Images()

        @images.bind("steady")
        async def steady(_task: TaskContext) -> None:
            await asyncio.Event().wait()

        @images.bind("stubborn")
        async def stubborn(_task: TaskContext) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.Event().wait()

        @images.bind("exits-0")
        async def ends(_task: TaskContext) -> None:
            pass

        @images.bind("exits-7")
        async def fails(_task: TaskContext) -> None:
            raise SystemExit(7)

        @images.bind("prints")
        async def prints(task: TaskContext) -> None:
            task.print("one\ntwo")

        return CoroutineExecutor(images, clock=SystemClock())


class TestCoroutinesBesideOthers(TestSimulatedExecutor):
    """What is not bound is the other executor's."""

    def another(self) -> CoroutineExecutor:  # type: ignore[override]  # the suite asks for any executor
        return CoroutineExecutor(Images(), super().another(), clock=SystemClock())


class TestProcessExecutor(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path

    def another(self) -> ProcessExecutor:
        return ProcessExecutor(self.path / "node", stop_s=0)

    def steady(self) -> ContainerSpec:
        return _shell("exec sleep 1000")

    def stubborn(self) -> ContainerSpec:
        return _shell("trap '' TERM; while :; do sleep 0.02; done")

    def exits(self, exit_code: int) -> ContainerSpec:
        return _shell(f"exit {exit_code}")

    def prints(self) -> ContainerSpec:
        return _shell("echo one; echo two")

    def unknown(self) -> ContainerSpec:
        return ContainerSpec(image="unknown")


def _shell(script: str) -> ContainerSpec:
    return ContainerSpec(image="none", command=("/bin/sh", "-c", script))
