"""The link between dispatcher and agent, in the shape of SwarmKit's worker protocol.

In memory for our own agents; gRPC for Docker Engines. The agent is always the caller. Rules:

- every Session message is whole: the agent acts on the difference to the last one;
- an Assignments stream starts with COMPLETE, which is authoritative: whatever it does not name is removed;
  each INCREMENTAL message applies to the one before (`applies_to == results_in` of it), dependencies before tasks;
- the status of an assigned task is the last one stored, so an agent that lost its memory can tell what was;
- reports may repeat and may skip states; the dispatcher ignores what goes back;
- lines are the agent's own and are pulled by subscription.
"""

import enum
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from skep.model.container import Driver
from skep.model.ids import ConfigId, Instant, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import Network
from skep.model.node import Node, NodeDescription
from skep.model.service import Endpoint, GenericResource, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.ports.lines import Line


class SessionRequest(Struct, frozen=True):
    """An agent registers; `session_id` is its last one when it rebuilds a session."""

    description: NodeDescription
    addr: str = ""
    session_id: str = ""


class Peer(Struct, frozen=True):
    """A manager that the agent may turn to."""

    node_id: NodeId
    addr: str
    weight: int = 10


class PlainKey(Struct, frozen=True):
    """A key of the data plane in plain: 16 bytes, for a subsystem. Never logged: its repr hides the key."""

    subsystem: str
    key: bytes
    lamport: int

    def __repr__(self) -> str:
        """Hide the key."""
        return f"PlainKey(subsystem={self.subsystem!r}, lamport={self.lamport})"


class SessionMessage(Struct, frozen=True):
    """All that an agent must know beside its tasks.

    `networks` are those of the node's attachments. With `renew` the agent is to get itself a new certificate.
    """

    session_id: str
    node: Node
    managers: tuple[Peer, ...] = ()
    network_keys: tuple[PlainKey, ...] = ()
    root_ca: str = ""
    networks: tuple[Network, ...] = ()
    renew: bool = False


class AssignedNetwork(Struct, frozen=True):
    """A network that a task joins, with its address there (empty where the network's driver gives it)."""

    network: Network
    addr: str = ""
    aliases: tuple[str, ...] = ()


class RegistryAuth(Struct, frozen=True):
    """Credentials for a registry in plain, as a client sent them: base64 of JSON. Never logged: its repr hides them."""

    encoded: str

    def __repr__(self) -> str:
        """Hide them."""
        return "RegistryAuth()"


class AssignedTask(Struct, frozen=True):
    """A task as its node's agent sees it; `endpoint` is what its service was given.

    That is the present one, not that of the task's beginning as in SwarmKit: engines make a container of what they were
    told of a task first, and what gives a service another endpoint replaces its tasks.

    `resources` are the generic ones of its node that are its own; `registry_auth` is for who pulls its image.
    """

    id: TaskId
    service_id: ServiceId
    service_name: str
    slot: int
    node_id: NodeId
    node_hostname: str
    service_labels: dict[str, str]
    spec_version: Position
    template: TaskTemplate
    desired: TaskState
    status: TaskStatus
    networks: tuple[AssignedNetwork, ...] = ()
    endpoint: Endpoint | None = None
    resources: tuple[GenericResource, ...] = ()
    registry_auth: RegistryAuth | None = None

    @property
    def name(self) -> str:
        """The name of its container: service, slot (or node), task id."""
        return f"{self.service_name}.{self.name_in_slot}.{self.id}"

    @property
    def name_in_slot(self) -> str:
        """What tells it from its service's others, as `Task.name_in_slot`."""
        return str(self.slot) if self.slot > 0 else self.node_id


class AssignedSecret(Struct, frozen=True):
    """A secret in plain, for the tasks of this node that use it. Never logged: its repr hides the data.

    `templating` says that the data is a template, of the driver's language.
    """

    id: SecretId
    name: str
    data: bytes
    templating: Driver | None = None

    def __repr__(self) -> str:
        """Hide the data."""
        return f"AssignedSecret(id={self.id!r}, name={self.name!r})"


class AssignedConfig(Struct, frozen=True):
    """A config for the tasks of this node that use it; `templating` as of a secret.

    What it was expanded to may hold secrets: its repr hides the data, too.
    """

    id: ConfigId
    name: str
    data: bytes
    templating: Driver | None = None

    def __repr__(self) -> str:
        """Hide the data."""
        return f"AssignedConfig(id={self.id!r}, name={self.name!r})"


class AssignmentKind(enum.IntEnum):
    """Whether a message is all, or a change."""

    COMPLETE = 0
    INCREMENTAL = 1


class Action(enum.IntEnum):
    """What to do with an assignment."""

    UPDATE = 0
    REMOVE = 1


class AssignmentChange(Struct, frozen=True):
    """One change; of a REMOVE only the id counts."""

    assignment: AssignedTask | AssignedSecret | AssignedConfig
    action: Action = Action.UPDATE


class AssignmentsMessage(Struct, frozen=True):
    """A set of changes, applied as one."""

    kind: AssignmentKind
    applies_to: str
    results_in: str
    changes: tuple[AssignmentChange, ...]


class TaskReport(Struct, frozen=True):
    """What an agent observed of a task."""

    task_id: TaskId
    status: TaskStatus


class LineSelector(Struct, frozen=True):
    """Whose lines: any of the tasks, or all tasks of any of the services."""

    task_ids: tuple[TaskId, ...] = ()
    service_ids: tuple[ServiceId, ...] = ()


class LineOptions(Struct, frozen=True):
    """Which lines: `tail` None is all, 0 none; `since` is exclusive of nothing (0: from the start)."""

    follow: bool = False
    tail: int | None = None
    since: Instant = Instant(0)
    stdout: bool = True
    stderr: bool = True


class SubscriptionMessage(Struct, frozen=True):
    """The dispatcher wants lines, or with `close` no more of them."""

    id: str
    selector: LineSelector
    options: LineOptions
    close: bool = False


class PublishedLine(Struct, frozen=True):
    """A line on its way to whoever asked, with its task, and what a log driver says of it: names and values."""

    task_id: TaskId
    service_id: ServiceId
    node_id: NodeId
    line: Line
    details: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """How much there is of it, in bytes, or in characters where it is text."""
        return len(self.line.data) + sum(len(name) + len(value) for name, value in self.details)


class LinkError(Exception):
    """The other side is gone or does not know us; the agent builds a new session."""


class ForeignTask(LinkError):
    """An agent told of a task of another node: nothing of what it told is taken."""


class NoMember(LinkError):
    """The node is no member of the swarm any more: nothing that runs there is wanted by anybody."""


class Link(Protocol):
    """What an agent may call. Bound to the identity of one node: nothing of another node's is accepted."""

    def session(self, request: SessionRequest) -> AbstractAsyncContextManager[AsyncIterator[SessionMessage]]:
        """Register; yield a first message at once and another whenever something in it changes.

        Leaving the context ends the session. Raises `LinkError` when the dispatcher ends it, `NoMember` if the node
        is no member.
        """
        ...

    async def heartbeat(self, session_id: str) -> float:
        """Tell that the agent lives; return seconds until the next is expected."""
        ...

    def assignments(self, session_id: str) -> AsyncIterator[AssignmentsMessage]:
        """Yield one COMPLETE message, then INCREMENTAL ones. Only durable assignments are sent."""
        ...

    async def update_task_status(self, session_id: str, reports: Sequence[TaskReport]) -> None:
        """Report; returns when the report is durable. Unknown tasks are ignored.

        Raises `ForeignTask` if one is another node's by now. So nothing is reported before the COMPLETE assignments of
        the session are applied, which do not name it.
        """
        ...

    def subscriptions(self, session_id: str) -> AsyncIterator[SubscriptionMessage]:
        """Yield live subscriptions that concern this node, then each change of them."""
        ...

    async def publish_lines(self, subscription_id: str, lines: Sequence[PublishedLine], *, close: bool) -> bool:
        """Hand over lines in order; `close` says that no more come. Return False if nobody wants them any more."""
        ...
