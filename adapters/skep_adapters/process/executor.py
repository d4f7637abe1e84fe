"""The executor of local processes: one agent's, with one supervisor below it."""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from skep.model.ids import ConfigId, SecretId
from skep.model.node import NodeDescription
from skep.ports.executor import LineSink, TaskFailed
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.task_addresses import TaskAddresses

from skep_adapters.process.catalog import Catalog, Image
from skep_adapters.process.cgroups import Cgroups
from skep_adapters.process.controller import ProcessController
from skep_adapters.process.host import describe_host
from skep_adapters.process.leftovers import kill_leftovers
from skep_adapters.process.notes import Note, Notes, boot_id
from skep_adapters.process.private_files import PrivateFiles, private_files, remove_tree
from skep_adapters.process.recipe import Recipe, write_recipe
from skep_adapters.process.run import Place
from skep_adapters.process.supervision import Supervision
from skep_adapters.process.volumes import DirectoryVolumes

_log = structlog.get_logger("skep.process")

#: How many tasks are being started at once: each has a few files on their way through one socket then.
STARTS_MAX = 16

#: How long `aclose` waits for killed tasks' last lines to be kept.
CLOSE_S = 10.0

#: How long tasks have at most, between the stop signal that `aclose` sends and their end, whatever their spec says.
STOP_S = 10.0


class StateDirInUseError(OSError):
    """Another agent that runs keeps its notes in that directory."""


class ProcessExecutor:
    """Implements `skep.ports.executor.Executor`.

    `state_dir` is this agent's alone. `catalog` says what images stand for. `hostname` overrides the machine's.
    `run_dir` is where secrets and configs are written, on tmpfs; by default the first that fits.
    `volumes` may be shared with other executors of this machine; by default they are the agent's own.
    `now` gives the time of lines, in nanoseconds since the epoch. `stop_s` is the longest grace of tasks at `aclose`.
    `addresses` gives each task a loopback address of its own; it is shared by the executors of a machine.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        catalog: Catalog | Mapping[str, Image | Sequence[str]] | None = None,
        hostname: str = "",
        run_dir: Path | None = None,
        now: Callable[[], int] = time.time_ns,
        stop_s: float = STOP_S,
        addresses: TaskAddresses | None = None,
        volumes: DirectoryVolumes | None = None,
    ) -> None:
        self._addresses = addresses
        self._stop_s = stop_s
        self._state_dir = state_dir.absolute()
        self._catalog = catalog if isinstance(catalog, Catalog) else Catalog(catalog)
        self._hostname = hostname
        self._work_dir = self._state_dir / "work"
        self._now = now
        self._notes = Notes(self._state_dir)
        self._volumes = volumes if volumes is not None else DirectoryVolumes(self._state_dir / "volumes", now=now)
        self._cgroups = Cgroups(self._state_dir)
        self._private = PrivateFiles(self._state_dir, run_dir)
        self._supervision = Supervision()
        self._controllers: dict[str, ProcessController] = {}
        self._warned: set[str] = set()
        self._lock = -1
        self._place: Place | None = None
        self._owner: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._closing = asyncio.Event()

    async def open(self, sink: LineSink) -> None:
        """Kill what an earlier life left running, remove its files, and start the supervisor.

        Raises:
            StateDirInUseError: another agent that runs has this state directory.
            OSError: something that an earlier life started runs and cannot be killed.
        """
        self._notes.open()
        self._claim()
        try:
            await asyncio.to_thread(self._end_earlier_life)
            self._notes.write(Note(boot=boot_id(), supervisor=self._supervision.start()))
        except BaseException:
            self._release()
            await self._supervision.aclose()
            raise
        self._place = Place(self._notes, self._supervision, sink, self._now, asyncio.Semaphore(STARTS_MAX))
        opened = asyncio.Event()
        # the one owner of the task group: a group may only be left by the task that entered it, and `open` returns
        self._owner = asyncio.create_task(self._own_tasks(opened), name="skep-process-executor")
        await opened.wait()

    def describe(self) -> NodeDescription:
        """Return what this machine is."""
        return describe_host(self._hostname)

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> ProcessController:
        """Return the controller of `task`: the same one until it is removed."""
        assert self._place is not None  # noqa: S101  # the port says: after `open`
        if task.id not in self._controllers:
            self._controllers[task.id] = ProcessController(
                task,
                lambda: private_files(task, secrets, configs),
                self._place,
                recipe=self._write_recipe,
                private=self._private,
                volumes=self._volumes,
                cgroups=self._cgroups,
                work_dir=self._work_dir / task.id,
                begin=self._begin,
                forget=self._forget,
            )
        return self._controllers[task.id]

    async def aclose(self) -> None:
        """Stop every task, all at once, and kill what goes on; end the supervisor, remove secrets. Idempotent."""
        self._closing.set()
        if self._owner is not None:
            owner, self._owner = self._owner, None
            _, late = await asyncio.wait({owner}, timeout=self._stop_s + CLOSE_S)
            if late:
                owner.cancel()
                await asyncio.wait({owner})
            if not owner.cancelled():
                owner.result()
        orderly = await self._supervision.aclose()
        for controller in self._controllers.values():
            await controller.release()  # volumes may be shared with who goes on
        if self._lock >= 0:
            try:
                if not orderly:
                    await asyncio.to_thread(kill_leftovers, list(self._notes.read()))
                self._clear()
            finally:
                self._release()

    async def _own_tasks(self, opened: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            opened.set()
            await self._closing.wait()
            for controller in list(self._controllers.values()):
                tasks.create_task(controller.stop(min(controller.grace_s, self._stop_s)))

    def _begin(self, driving: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None  # noqa: S101  # as in `controller`
        if self._closing.is_set():
            driving.close()
            raise TaskFailed("the executor was closed")
        self._tasks.create_task(driving)

    def _forget(self, gone: ProcessController) -> None:
        self._controllers.pop(gone.task_id, None)
        if self._addresses is not None:
            self._addresses.free(gone.task_id)

    def _claim(self) -> None:
        """Hold the state directory: a second agent would take our tasks for its leftovers."""
        self._lock = os.open(self._state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise StateDirInUseError(f"{self._state_dir} is in use by another agent that runs") from None

    def _end_earlier_life(self) -> None:
        left = kill_leftovers(list(self._notes.read()))
        if left:
            raise OSError(f"processes of an earlier life of this agent run and cannot be killed: {left}")
        self._clear()

    def _release(self) -> None:
        lock, self._lock = self._lock, -1
        os.close(lock)

    def _clear(self) -> None:
        """Remove what tasks leave in files, when none of them runs."""
        self._private.clear()
        self._notes.clear()
        self._cgroups.clear()
        remove_tree(self._work_dir)

    def _write_recipe(self, task: AssignedTask) -> Recipe:
        addr = self._addresses.give(task.id) if self._addresses else ""
        recipe = write_recipe(task, self._catalog, addr=addr, limits=self._cgroups.limits)
        for name in recipe.ignored:
            if name not in self._warned:
                self._warned.add(name)
                _log.warning("process.spec_field_ignored", field=name, service=task.service_name)
        return recipe
