"""A session: what the dispatcher knows of one agent that is there. Soft state, never in the log.

A node has the secrets and configs of those of its tasks that may still need them: of a task that ended, or that is
forgotten, they are withdrawn, unless another one uses them.
"""

import asyncio
from collections.abc import Iterable

from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.ids import EPOCH, START, ConfigId, NodeId, SecretId, ServiceId, TaskId
from skep.model.secret import Sealed
from skep.model.service import TaskSpec, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedNetwork,
    AssignedSecret,
    AssignedTask,
    AssignmentChange,
    SubscriptionMessage,
)
from skep.runtime.attached import Attached

#: The secrets and configs that a task was sent.
_Uses = tuple[dict[SecretId, None], dict[ConfigId, None]]


class Session:
    """One agent's session: what it was sent, and what it must be sent."""

    def __init__(self, session_id: str, node_id: NodeId) -> None:
        self.id = session_id
        self.node_id = node_id
        self.ended = ""
        #: something in the session message changed
        self.told = asyncio.Event()
        #: the networks that the agent knows its node's address on
        self.attached = Attached()
        #: assignments changed: `dirty` says of which tasks
        self.dirty: dict[TaskId, None] = {}
        self.assigned = asyncio.Event()
        #: subscriptions to hand over
        self.subscriptions: list[SubscriptionMessage] = []
        self.subscribed = asyncio.Event()
        #: ids of those that were handed over, and are not closed
        self.listening: dict[str, None] = {}
        #: tasks that were sent, with what was sent for them and is not withdrawn yet
        self._sent: dict[TaskId, _Uses] = {}
        #: tasks of which was told that they ended
        self._over: dict[TaskId, None] = {}
        self._secret_uses: dict[SecretId, int] = {}
        self._config_uses: dict[ConfigId, int] = {}

    def end(self, reason: str) -> None:
        """End it: its streams raise `LinkError` with the reason."""
        self.ended = reason or "the session ended"
        self.told.set()
        self.assigned.set()
        self.subscribed.set()

    def subscribe(self, message: SubscriptionMessage) -> None:
        """Hand over a subscription, or its end; nothing at all if its beginning was not taken yet."""
        if message.close:
            kept = [each for each in self.subscriptions if each.id != message.id]
            taken = len(kept) == len(self.subscriptions)
            self.subscriptions = kept
            if not taken or message.id not in self.listening:
                return
        self.subscriptions.append(message)
        self.subscribed.set()

    def take_subscriptions(self) -> list[SubscriptionMessage]:
        """Return what is to be handed over now."""
        taken, self.subscriptions = self.subscriptions, []
        self.subscribed.clear()
        for message in taken:
            if message.close:
                self.listening.pop(message.id, None)
            else:
                self.listening[message.id] = None
        return taken

    def everything(self, state: ClusterState) -> "Assignments":
        """Return all that the node is assigned."""
        self.dirty.clear()
        self.assigned.clear()
        # it is whole, whatever was sent before
        for memory in (self._sent, self._over, self._secret_uses, self._config_uses):
            memory.clear()
        index = state.node_tasks.get(self.node_id)
        return self._changes(state, [*(index.all if index else ()), *state.node_attachments.get(self.node_id, ())])

    def news(self, state: ClusterState) -> "Assignments":
        """Return what changed since the last call."""
        dirty, over = list(self.dirty), list(self._over)
        self.dirty.clear()
        self._over.clear()
        self.assigned.clear()
        return self._changes(state, dirty, over)

    def note_over(self, task_ids: Iterable[TaskId]) -> None:
        """Note tasks that are said to have ended: what was sent for them alone is to be withdrawn."""
        over = [i for i in task_ids if any(self._sent.get(i, _NO_USES))]
        if over:
            self._over |= dict.fromkeys(over)
            self.assigned.set()

    def _changes(self, state: ClusterState, task_ids: Iterable[TaskId], over: Iterable[TaskId] = ()) -> "Assignments":
        out = Assignments()
        hostname = state.nodes[self.node_id].description.hostname if self.node_id in state.nodes else ""
        for task_id in task_ids:
            attachment = state.attachments.get(task_id)
            if attachment is not None and attachment.node_id == self.node_id:
                self._sent.setdefault(task_id, _NO_USES)
                out.tasks.append(AssignmentChange(_assigned_attachment(state, attachment, hostname)))
                continue
            task = state.tasks.get(task_id)
            if task is None or task.node_id != self.node_id or task.state < TaskState.ASSIGNED:
                self._forget(task_id, out)
                continue
            assigned = _assigned_task(state, task, hostname)
            if task.state.terminal:
                self._withdraw(task_id, out)
            elif task_id not in self._sent:
                self._send_dependencies(state, assigned, out)
            self._sent.setdefault(task_id, _NO_USES)
            out.tasks.append(AssignmentChange(assigned))
        for task_id in over:
            if task_id in state.tasks and state.tasks[task_id].state.terminal:
                self._withdraw(task_id, out)
        # what one task gave up and another took over within one message stays: removals are applied last
        used = self._secret_uses.keys() | self._config_uses.keys()
        out.removed = [change for change in out.removed if change.assignment.id not in used]
        return out

    def _send_dependencies(self, state: ClusterState, task: AssignedTask, out: "Assignments") -> None:
        container = task.template.spec.container_spec
        secrets = {SecretId(r.secret_id): None for r in container.secrets} if container else {}
        configs = {ConfigId(r.config_id): None for r in container.configs} if container else {}
        self._sent[task.id] = (secrets, configs)
        for secret_id in secrets:
            self._secret_uses[secret_id] = self._secret_uses.get(secret_id, 0) + 1
            secret = state.secrets.get(secret_id)
            if self._secret_uses[secret_id] == 1 and secret is not None and secret.sealed is not None:
                closed = AssignedSecret(secret_id, secret.spec.name, b"", secret.spec.templating)
                out.sealed.append((closed, secret.sealed))
        for config_id in configs:
            self._config_uses[config_id] = self._config_uses.get(config_id, 0) + 1
            config = state.configs.get(config_id)
            if self._config_uses[config_id] == 1 and config is not None:
                spec = config.spec
                assignment = AssignedConfig(config_id, spec.name, spec.data, spec.templating)
                out.dependencies.append(AssignmentChange(assignment))

    def _forget(self, task_id: TaskId, out: "Assignments") -> None:
        if task_id not in self._sent:
            return
        out.tasks.append(AssignmentChange(_gone(task_id, self.node_id), Action.REMOVE))
        self._withdraw(task_id, out)
        del self._sent[task_id]

    def _withdraw(self, task_id: TaskId, out: "Assignments") -> None:
        """Withdraw what was sent for a task and no other one uses."""
        sent = self._sent.get(task_id, _NO_USES)
        self._sent[task_id] = _NO_USES
        for secret_id in sent[0]:
            self._secret_uses[secret_id] -= 1
            if not self._secret_uses[secret_id]:
                del self._secret_uses[secret_id]
                out.removed.append(AssignmentChange(AssignedSecret(secret_id, "", b""), Action.REMOVE))
        for config_id in sent[1]:
            self._config_uses[config_id] -= 1
            if not self._config_uses[config_id]:
                del self._config_uses[config_id]
                out.removed.append(AssignmentChange(AssignedConfig(config_id, "", b""), Action.REMOVE))


class Assignments:
    """Changes for a node, in the order in which they are sent; `sealed` secrets have no data yet: opened on the way."""

    def __init__(self) -> None:
        self.sealed: list[tuple[AssignedSecret, Sealed]] = []
        self.dependencies: list[AssignmentChange] = []
        self.tasks: list[AssignmentChange] = []
        self.removed: list[AssignmentChange] = []


def _assigned_task(state: ClusterState, task: Task, hostname: str) -> AssignedTask:
    template = state.template_of(task)
    service = state.services.get(task.service_id)
    return AssignedTask(
        id=task.origin.id,
        service_id=task.origin.service_id,
        service_name=template.service_name,
        slot=task.origin.slot,
        node_id=task.node_id,
        node_hostname=hostname,
        service_labels=(service.spec.labels or {}) if service else {},
        spec_version=task.origin.spec_version,
        template=template,
        desired=task.desired,
        status=task.status,
        networks=_networks(state, task, template),
        endpoint=service.endpoint if service else None,
        resources=state.given[task.origin.id].resources if task.origin.id in state.given else (),
    )


def _assigned_attachment(state: ClusterState, attachment: Attachment, hostname: str) -> AssignedTask:
    """Return an attachment as its agent sees it: a task of no service, wanted until it is withdrawn."""
    return AssignedTask(
        id=attachment.id,
        service_id=ServiceId(""),
        service_name="",
        slot=0,
        node_id=attachment.node_id,
        node_hostname=hostname,
        service_labels={},
        spec_version=START,
        template=TaskTemplate("", attachment.spec),
        desired=TaskState.RUNNING,
        status=attachment.status,
        networks=(AssignedNetwork(state.networks[attachment.network_id], attachment.addr),),
    )


def _networks(state: ClusterState, task: Task, template: TaskTemplate) -> tuple[AssignedNetwork, ...]:
    given = state.given.get(task.origin.id)
    if given is None:
        return ()
    aliases = {one.target: one.aliases for one in template.networks}
    return tuple(
        AssignedNetwork(state.networks[one.network_id], one.addr, aliases.get(one.network_id, ()))
        for one in given.addresses
        if one.network_id in state.networks
    )


def _gone(task_id: TaskId, node_id: NodeId) -> AssignedTask:
    """Return what names a task that is to be removed; only its id counts."""
    return AssignedTask(
        id=task_id,
        service_id=ServiceId(""),
        service_name="",
        slot=0,
        node_id=node_id,
        node_hostname="",
        service_labels={},
        spec_version=START,
        template=_NO_TEMPLATE,
        desired=TaskState.REMOVE,
        status=_NO_STATUS,
    )


_NO_USES: _Uses = ({}, {})
_NO_TEMPLATE = TaskTemplate("", TaskSpec())
_NO_STATUS = TaskStatus(TaskState.REMOVE, EPOCH)
