"""What the tests of processes share: tasks, an executor on real processes, and where its lines go."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from skep.model.container import ContainerSpec
from skep.model.ids import ConfigId, Instant, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.service import TaskSpec, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.ports.lines import Line
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep_adapters.process import kin
from skep_adapters.process.controller import ProcessController
from skep_adapters.process.executor import ProcessExecutor

_numbers = itertools.count(1)


def task_of(spec: ContainerSpec, *, slot: int = 1, name: str = "web", **labels: str) -> AssignedTask:
    """Return a task of a service of that container."""
    return AssignedTask(
        id=TaskId(f"t{os.getpid():08}{next(_numbers):016}"),
        service_id=ServiceId("service-1"),
        service_name=name,
        slot=slot,
        node_id=NodeId("node-1"),
        node_hostname="host-1",
        service_labels=labels,
        spec_version=Position(1),
        template=TaskTemplate(service_name=name, spec=TaskSpec(container_spec=spec)),
        desired=TaskState.RUNNING,
        status=TaskStatus(state=TaskState.ASSIGNED, at=Instant(0)),
    )


def shell(script: str, **fields: Any) -> ContainerSpec:
    """Return a container that runs a shell script."""
    return ContainerSpec(image="none", command=("/bin/sh", "-c", script), **fields)


class Lines:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, Sequence[Line]]] = []
        self._more = asyncio.Condition()

    async def __call__(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        self.batches.append((task_id, lines))
        async with self._more:
            self._more.notify_all()

    async def first(self, task_id: str) -> Line:
        async with self._more, asyncio.timeout(5):
            await self._more.wait_for(lambda: self.of(task_id))
        return self.of(task_id)[0]

    def of(self, task_id: str) -> list[Line]:
        return [line for owner, lines in self.batches if owner == task_id for line in lines]

    def text(self, task_id: str) -> str:
        return b"".join(line.data for line in self.of(task_id)).decode()


class Cluster:
    """An executor that is open."""

    def __init__(self, executor: ProcessExecutor, lines: Lines) -> None:
        self.executor = executor
        self.lines = lines
        self.secrets: dict[SecretId, AssignedSecret] = {}
        self.configs: dict[ConfigId, AssignedConfig] = {}

    def controller(self, spec: ContainerSpec, **fields: Any) -> ProcessController:
        return self.executor.controller(task_of(spec, **fields), secrets=self.secrets, configs=self.configs)

    async def started(self, spec: ContainerSpec, **fields: Any) -> ProcessController:
        controller = self.controller(spec, **fields)
        await controller.prepare()
        await controller.start()
        return controller

    async def output(self, spec: ContainerSpec, **fields: Any) -> str:
        """Run it to its end, which must be good; return what it printed."""
        controller = await self.started(spec, **fields)
        await controller.wait()
        return self.lines.text(controller.task_id)


@contextlib.asynccontextmanager
async def running(state_dir: Path, **options: Any) -> AsyncIterator[Cluster]:
    """Open an executor; afterwards nothing of it may run, and no file of it be open.

    Closing it gives tasks no time, unless `options` say otherwise: few tests have tasks that go on after a signal.
    """
    lines = Lines()
    executor = ProcessExecutor(state_dir, **({"stop_s": 0} | options))
    await executor.open(lines)
    try:
        yield Cluster(executor, lines)
    finally:
        await executor.aclose()


async def until_gone(marker: str, within_s: float) -> float:
    """Wait until no command line holds `marker`; return the seconds that it took.

    Raises:
        AssertionError: some process outlived `within_s`.
    """
    started = time.monotonic()
    while left := with_marker(marker):
        assert time.monotonic() - started < within_s, f"still running: {left}"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def with_marker(marker: str) -> list[int]:
    """Return the processes that run with `marker` in their command line, whoever their parent is.

    One that forks and exits all the time is missed by some looks, so nothing is there only if many looks say so.
    """
    for _ in range(20):
        found = []
        for pid in sorted(kin.pids(), reverse=True):
            with contextlib.suppress(OSError):
                if marker.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() and exists(pid) and pid != os.getpid():
                    found.append(pid)
        if found:
            return found
    return []


def kill_marked(marker: str) -> None:
    """Kill what runs with `marker` in its command line: a test that failed must not leave a runner behind."""
    while left := with_marker(marker):
        kin.kill(left)


def new_marker() -> str:
    """Return a number of seconds to sleep that nobody else sleeps."""
    return f"1000.{os.getpid():07}{next(_numbers):05}1"


def exists(pid: int) -> bool:
    """Say whether `pid` runs, zombies apart."""
    found = kin.stat(pid)
    return found is not None and found[0] not in "ZX"
