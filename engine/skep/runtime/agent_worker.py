"""What is assigned to a node, and what runs of it.

- An assignments message is applied in one go; a COMPLETE one is authoritative: what it does not name is removed.
- Nothing here knows of sessions: tasks outlive them.
- A task that comes back while it is being removed waits until it is gone.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

from skep.model.ids import ConfigId, Instant, SecretId, TaskId
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.ports.executor import Executor, TaskController
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedSecret,
    AssignedTask,
    AssignmentKind,
    AssignmentsMessage,
    LinkError,
)
from skep.runtime.agent_expansion import expand
from skep.runtime.agent_lines import AgentLines
from skep.runtime.agent_reports import Reporter
from skep.runtime.agent_task import TaskRun

_Id = TypeVar("_Id")
_Value = TypeVar("_Value")


class Worker:
    """Keeps and drives the tasks of a node in `group`."""

    def __init__(
        self,
        executor: Executor,
        lines: AgentLines,
        reporter: Reporter,
        group: asyncio.TaskGroup,
        *,
        now: Callable[[], Instant],
    ) -> None:
        self._executor = executor
        self._lines = lines
        self._reporter = reporter
        self._group = group
        self._now = now
        self._runs: dict[TaskId, TaskRun] = {}
        self._secrets: dict[SecretId, AssignedSecret] = {}
        self._configs: dict[ConfigId, AssignedConfig] = {}
        self._leaving: set[TaskId] = set()
        self._returning: dict[TaskId, AssignedTask] = {}
        self._applied = ""
        #: Set once it was told in this session all that is assigned here.
        self.informed = asyncio.Event()

    def tasks(self) -> Iterator[AssignedTask]:
        """Give the tasks that are assigned, those that ended among them."""
        return (run.task for run in self._runs.values())

    def statuses(self) -> Iterator[tuple[TaskId, TaskStatus]]:
        """Give what was observed here, whether it was told before or not."""
        return ((task_id, run.status) for task_id, run in self._runs.items() if run.observed)

    def begin_session(self) -> None:
        """Expect a COMPLETE message."""
        self._applied = ""
        self.informed.clear()

    def apply(self, message: AssignmentsMessage) -> None:
        """Apply `message`.

        Raises:
            LinkError: it does not apply to the last one.
        """
        complete = message.kind is AssignmentKind.COMPLETE
        if not complete and (not self._applied or message.applies_to != self._applied):
            raise LinkError(f"assignments apply to {message.applies_to!r}, but {self._applied!r} is what is here")
        named: set[str] = set()
        for change in message.changes:
            match change.assignment:
                case AssignedTask() as task:
                    if change.action is Action.UPDATE:
                        self._assign(task)
                    else:
                        self._remove(task.id)
                case AssignedSecret() as secret:
                    _put(self._secrets, secret.id, secret, change.action)
                case AssignedConfig() as config:
                    _put(self._configs, config.id, config, change.action)
            if complete and change.action is Action.UPDATE:
                named.add(change.assignment.id)
        if complete:
            self._remove_all_but(named)
            self.informed.set()
        self._applied = message.results_in

    def remove_all(self) -> None:
        """End and forget every task: the node is no member any more."""
        self._remove_all_but(set())

    def _remove_all_but(self, named: set[str]) -> None:
        for task_id in [*self._runs, *self._returning]:
            if task_id not in named:
                self._remove(task_id)
        for secret_id in [i for i in self._secrets if i not in named]:
            del self._secrets[secret_id]
        for config_id in [i for i in self._configs if i not in named]:
            del self._configs[config_id]

    def _assign(self, task: AssignedTask) -> None:
        if run := self._runs.get(task.id):
            run.update(task)
        elif task.id in self._leaving:
            self._returning[task.id] = task
        else:
            self._begin(task)

    def _begin(self, task: AssignedTask) -> None:
        run = TaskRun(task, make=self._make, tell=self._reporter.tell, now=self._now)
        self._runs[task.id] = run
        self._lines.add(task)
        if run.lost:
            run.bury()
        elif task.status.state <= TaskState.RUNNING:
            run.driver = self._group.create_task(self._see_through(run))

    def _make(self, task: AssignedTask) -> TaskController:
        expanded = expand(task, self._secrets, self._configs, platform=lambda: self._executor.describe().platform)
        return self._executor.controller(expanded.task, secrets=expanded.secrets, configs=expanded.configs)

    def _remove(self, task_id: TaskId) -> None:
        self._returning.pop(task_id, None)
        if run := self._runs.pop(task_id, None):
            self._reporter.forget(task_id)
            self._leaving.add(task_id)
            run.leave()
            if run.driver is None:
                run.driver = self._group.create_task(self._see_through(run))

    async def _see_through(self, run: TaskRun) -> None:
        """Drive `run` to its end, and out of the node if it leaves."""
        await run.drive()
        run.driver = None
        if not run.leaving:
            return
        await run.remove()
        task_id = run.task.id
        await self._lines.remove(task_id)
        self._leaving.discard(task_id)
        if task := self._returning.pop(task_id, None):
            self._begin(task)


def _put(kept: dict[_Id, _Value], key: _Id, value: _Value, action: Action) -> None:
    if action is Action.UPDATE:
        kept[key] = value
    else:
        kept.pop(key, None)
