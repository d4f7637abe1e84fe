"""The controller of one task: what the agent asks, in terms of a recipe, private files and a run."""

import asyncio
import os
import secrets as randomness
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog
from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus
from skep.ports.executor import TaskFailed
from skep.ports.link import AssignedTask
from skep.runtime.health import UNHEALTHY, HealthCheck

from skep_adapters.process import words
from skep_adapters.process.cgroups import Cgroups
from skep_adapters.process.launch import Launch
from skep_adapters.process.mounts import Mounts
from skep_adapters.process.namespace import MountStep
from skep_adapters.process.private_files import PrivateFile, PrivateFiles, remove_tree
from skep_adapters.process.probe import probe
from skep_adapters.process.recipe import Recipe
from skep_adapters.process.run import Place, Run
from skep_adapters.process.users import Account, UnknownUserError, find_account
from skep_adapters.process.volumes import DirectoryVolumes

#: A task's grace where its spec says nothing: Docker's own.
STOP_GRACE_S = 10.0

_log = structlog.get_logger("skep.process")

_NO_CONTAINER = ContainerSpec()


class ProcessController:
    """Implements `TaskController`: a task is a process group under a keeper.

    `begin` runs a coroutine in the executor's task group; `forget` tells the executor that the task is removed.
    """

    def __init__(
        self,
        task: AssignedTask,
        files: Callable[[], Sequence[PrivateFile]],
        place: Place,
        *,
        recipe: Callable[[AssignedTask], Recipe],
        private: PrivateFiles,
        volumes: DirectoryVolumes,
        cgroups: Cgroups,
        work_dir: Path,
        begin: Callable[[Coroutine[Any, Any, None]], object],
        forget: Callable[["ProcessController"], None],
    ) -> None:
        self._task = task
        self._files = files
        self._place = place
        self._write_recipe = recipe
        self._private = private
        self._work_dir = work_dir
        self._begin = begin
        self._forget = forget
        self._container_id = randomness.token_hex(32)
        self._mounts = Mounts(volumes, user=self._container_id, task_id=task.id)
        self._steps: list[MountStep] = []
        self._cgroups = cgroups
        self._recipe: Recipe | None = None
        self._folders: dict[str, str] = {}
        self._run: Run | None = None
        self._launched: dict[str, Any] = {}
        #: What is asked of the task while it runs, if anything is; `_checked` when no probe runs any more.
        self.health: HealthCheck | None = None
        self._checked = asyncio.Event()
        self._stopping = self._signalled = False

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._task.id

    @property
    def _container(self) -> ContainerSpec:
        return self._task.template.spec.container_spec or _NO_CONTAINER

    @property
    def _has_mounts(self) -> bool:
        return bool(self._container.mounts)

    @property
    def grace_s(self) -> float:
        """How many seconds the task has between its stop signal and its end."""
        grace = self._container.stop_grace_period
        return STOP_GRACE_S if grace is None else grace / NANOSECONDS

    @property
    def status(self) -> ContainerStatus | None:
        """What is known of the process."""
        run = self._run
        if self._recipe is None:
            return None
        if run is None:
            return ContainerStatus(container_id=self._container_id)
        if run.dead.is_set() or run.failure is not None:
            return ContainerStatus(self._container_id, 0, run.exit_code)
        return ContainerStatus(self._container_id, run.pid, -1 if self._stopping else 0)

    @property
    def ports(self) -> tuple[PortConfig, ...]:
        """None: a process opens what it opens on the node's own network."""
        return ()

    async def prepare(self) -> None:
        """Decide what to run, make volumes, write secrets and configs. An unknown user is a matter of `start`.

        Raises:
            TaskRejected: it can never run here.
        """
        if self._recipe is not None:
            return
        recipe = self._write_recipe(self._task)
        files = self._files()
        try:
            account = find_account(recipe.user, recipe.groups)
        except UnknownUserError:
            account = None
        if self._has_mounts:
            self._steps = await self._mounts.prepare(self._container, account)
        if account is not None:
            self._folders = self._private.write(self.task_id, files, account)
        self._recipe = recipe

    async def start(self) -> None:
        """Start it; return once the program runs and is healthy, or ended well without having been.

        Raises:
            TaskFailed: it did not come to that.
        """
        if self._run is None:
            if self._stopping:
                raise TaskFailed("the task was stopped before it started")
            await self.prepare()
            self._launched = self._launch()
            run = Run(self._task.id, self._place, self._launched)
            if self._recipe is not None and (plan := self._recipe.health) is not None:
                self.health = HealthCheck(plan, lambda: probe(self._place, self._probe_launch(plan.test)))
            self._begin(self._see_through(run))
            self._run = run
        await self._run.started.wait()
        if self._run.failure is not None and not self._run.ran:
            raise self._run.failure
        if self.health is not None and not await self.health.known():
            await self.wait()

    async def wait(self) -> None:
        """Return when it ended with exit code 0 and its last line was handed over.

        Raises:
            TaskFailed: it ended otherwise.
        """
        if self._run is None:
            raise TaskFailed("the task was not started")
        await self._run.ended.wait()
        await self._checked.wait()
        if self._run.failure is not None:
            raise self._failure(self._run.failure)

    async def stop(self, grace_s: float) -> None:
        """Send its stop signal; after `grace_s` seconds kill all of it. Returns when nothing of it runs."""
        self._stopping = True
        run = self._run
        if run is None:
            return
        if not run.dead.is_set():
            await self._stop_run(run, grace_s)
        await self._checked.wait()

    async def _stop_run(self, run: Run, grace_s: float) -> None:
        try:
            async with asyncio.timeout(max(grace_s, 0.0)):
                if not self._signalled and grace_s > 0:
                    run.hold()
                    await run.started.wait()
                    if not self._signalled:  # another stop may have waited, too
                        self._signalled = True
                        run.signal(self._recipe.stop_signal if self._recipe else words.stop_signal(""))
                await run.dead.wait()
        except TimeoutError:
            await run.kill_for_sure()

    async def remove(self) -> None:
        """End it if it runs, and remove secrets, directory, note and the volumes that are its own."""
        await self.stop(0)
        if self._run is not None:
            await self._run.ended.wait()
        self._private.remove(self.task_id)
        await self.release()
        if self._task.template.spec.resources is not None:
            await asyncio.to_thread(self._cgroups.remove, self.task_id)
        remove_tree(self._work_dir)
        self._place.notes.remove(self.task_id)
        self._forget(self)

    async def release(self) -> None:
        """Let go of the volumes. Called when nothing of it runs. Idempotent."""
        if self._has_mounts:
            await self._mounts.release()

    async def _see_through(self, run: Run) -> None:
        """Drive the run to its end; what it was told in confidence ends with it."""
        try:
            if self.health is None:
                self._checked.set()
                await run.drive()
            else:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._check_while_alive(run, self.health))
                    await run.drive()
        finally:
            try:
                self._private.remove(self.task_id)
            except OSError as error:  # `remove` tries again, and so does the next `open`
                _log.warning("process.secrets_not_removed", task_id=self.task_id, error=str(error))

    async def _check_while_alive(self, run: Run, health: HealthCheck) -> None:
        """Probe the task; when it is dead, no probe runs any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                checking = tasks.create_task(self._check(run, health))
                await run.dead.wait()
                checking.cancel()
        finally:
            health.end()
            self._checked.set()

    async def _check(self, run: Run, health: HealthCheck) -> None:
        """Probe the task until it is unhealthy; then stop it."""
        await run.started.wait()
        if not run.ran:
            return
        await health.run()
        # only the codes: what a probe printed may be secret
        codes = [probed.exit_code for probed in health.probes]
        _log.info("process.unhealthy", task_id=self.task_id, exit_codes=codes)
        await self._stop_run(run, self.grace_s)

    def _failure(self, failure: TaskFailed) -> TaskFailed:
        """Return how it ended, and that this was for its health."""
        if self.health is None or not self.health.unhealthy:
            return failure
        return TaskFailed(f"{failure}: {UNHEALTHY}", exit_code=failure.exit_code)

    def _launch(self) -> dict[str, Any]:
        """Return what the keeper is told, and make the task's own directory if it needs one.

        Raises:
            TaskFailed: there is no such user.
        """
        recipe = self._recipe
        assert recipe is not None  # noqa: S101  # `prepare` came before
        try:
            account = find_account(recipe.user, recipe.groups)
        except UnknownUserError as error:
            raise words.failed_to_start(str(error)) from None
        launch = Launch(
            argv=list(recipe.argv),
            env={"HOME": account.home, **recipe.env, **self._folders},
            dir=recipe.dir or self._own_directory(account),
            uid=account.uid if account.change else None,
            gid=account.gid if account.change else None,
            groups=list(account.groups) if account.change else None,
            rlimits=[list(limit) for limit in recipe.rlimits],
            no_new_privileges=recipe.no_new_privileges,
            cgroups=self._groups(),
            mounts=self._steps,
            join=0,
        )
        return dict(launch)

    def _groups(self) -> list[str]:
        """Make the control groups that limit the task; return the files by which they are entered."""
        resources = self._task.template.spec.resources
        if resources is None:
            return []
        try:
            return self._cgroups.make(self.task_id, resources)
        except OSError as error:
            raise words.failed_to_start(f"its limits could not be set: {error.strerror}") from None

    def _probe_launch(self, test: Sequence[str]) -> dict[str, Any]:
        """Return what a keeper is told of a probe: it runs beside the task, in its namespace."""
        join = self._run.pid if self._run is not None and self._steps else 0
        return self._launched | {"argv": test, "mounts": [], "join": join}

    def _own_directory(self, account: Account) -> str:
        """Make an empty directory that lives as long as the task: what a container's root is to a container."""
        self._work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if account.change:
            os.chown(self._work_dir, account.uid, account.gid)
        return str(self._work_dir)
