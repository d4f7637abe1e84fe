"""Bytes and back: records as JSON text, snapshots of the state as MessagePack.

- A decoder is picked by the stored name; the union is never decoded straight, since one unknown name would then make a
  whole log unreadable.
- An unknown event that is not marked ignorable raises `UnknownEvent`: folding past it would corrupt.
- Older versions of an event are lifted by `UPCASTS` when read; what is stored stays.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from skep.core.commands import COMMANDS, Command
from skep.core.events import EVENTS, Event
from skep.core.failures import Failures
from skep.core.progress import Rebalance, UpdateProgress
from skep.core.record import Actor, Planned, Record, Submitted
from skep.core.state import ClusterState
from skep.core.task_index import reindex
from skep.model.attachment import Attachment
from skep.model.ids import START, ConfigId, Instant, NetworkId, NodeId, Position, Seat, SecretId, ServiceId, TaskId
from skep.model.network import Network
from skep.model.node import Node
from skep.model.secret import Config, Secret
from skep.model.service import Outcome, Service, TaskTemplate
from skep.model.states import TaskState
from skep.model.swarm import Cluster
from skep.model.task import Given, Task, TaskOrigin, TaskStatus


class UnknownEvent(Exception):
    """The log holds something that this version does not know; it can be read up to `position`, not beyond."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(f"record {position} holds {name!r}, which this version of skep does not know")
        self.position = position


class Undecodable(Exception):
    """A record is no record: its JSON or its shape is wrong."""


#: old stored name -> (name now, how its fields became what they are now)
UPCASTS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}


class _Tag(Struct):
    type: str
    ignorable: bool = False


class _Stored(Struct):
    position: Position
    time: Instant
    actor: Actor
    input: Raw
    events: list[Raw]
    cause: Position = START
    seen: Position = START


class _StoredCommands(Struct):
    commands: list[Raw]
    id: str = ""


_ENCODER = msgspec.json.Encoder()
_STORED = msgspec.json.Decoder(_Stored)
_TAG = msgspec.json.Decoder(_Tag)
_PLANNED = msgspec.json.Decoder(Planned)
_SUBMITTED = msgspec.json.Decoder(_StoredCommands)
_EVENTS = {name: msgspec.json.Decoder(kind) for name, kind in EVENTS.items()}
_COMMANDS = {name: msgspec.json.Decoder(kind) for name, kind in COMMANDS.items()}


class _Encoded(Struct, omit_defaults=True):
    position: Position
    time: Instant
    actor: Actor
    input: Submitted | Planned
    events: tuple[Event, ...]
    cause: Position = START
    seen: Position = START


def encode_record(record: Record) -> bytes:
    """Return the stored form of a record."""
    return _ENCODER.encode(
        _Encoded(record.position, record.time, record.actor, record.input, record.events, record.cause, record.seen)
    )


def decode_record(body: bytes) -> Record:
    """Return the record that `body` stores.

    Raises:
        UnknownEvent: it holds an event or command that this version does not know.
        Undecodable: it is no record.
    """
    try:
        stored = _STORED.decode(body)
        events, unknown = [], []
        for raw in stored.events:
            event = _decode_event(raw, stored.position)
            if isinstance(event, str):
                unknown.append(event)
            else:
                events.append(event)
        return Record(
            position=stored.position,
            time=stored.time,
            actor=stored.actor,
            input=_decode_input(stored.input, stored.position),
            events=tuple(events),
            cause=stored.cause,
            seen=stored.seen,
            unknown=tuple(unknown),
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"a record cannot be decoded: {error}") from error


def encode_event(event: Event) -> bytes:
    """Return the stored form of one event."""
    return _ENCODER.encode(event)


def encode_command(command: Command) -> bytes:
    """Return the form in which a command is kept and passed on."""
    return _ENCODER.encode(command)


def decode_command(body: bytes | Raw, position: int = 0) -> Command:
    """Return the command that `body` holds; raise `UnknownEvent` for a name unknown here."""
    name = _TAG.decode(body).type
    decoder = _COMMANDS.get(name)
    if decoder is None:
        raise UnknownEvent(name, position)
    return decoder.decode(body)


def _decode_event(raw: Raw, position: int) -> Event | str:
    tag = _TAG.decode(raw)
    decoder = _EVENTS.get(tag.type)
    if decoder is not None:
        return decoder.decode(raw)
    upcast = UPCASTS.get(tag.type)
    if upcast is not None:
        name, lift = upcast
        return msgspec.convert(lift(msgspec.json.decode(raw)) | {"type": name}, EVENTS[name])
    if tag.ignorable:
        return tag.type
    raise UnknownEvent(tag.type, position)


def _decode_input(raw: Raw, position: int) -> Submitted | Planned:
    if _TAG.decode(raw).type == "plan":
        return _PLANNED.decode(raw)
    stored = _SUBMITTED.decode(raw)
    return Submitted(tuple(decode_command(command, position) for command in stored.commands), stored.id)


class _TaskColumns(Struct, array_like=True):
    """Tasks as columns: a row each costs three times as much to read."""

    origins: list[tuple[TaskId, ServiceId, int, Position, Instant, Position, Instant, TaskId, int]]
    nodes: list[NodeId]
    desired: list[TaskState]
    statuses: list[int]
    versions: list[Position]
    updated: list[Instant]
    distinct: list[TaskStatus]


class Snapshot(Struct):
    """All of a state that is not derived. Optional values only where the state's are."""

    position: Position
    time: Instant
    cluster: Cluster | None
    left: bool
    nodes: list[Node]
    services: list[Service]
    tasks: _TaskColumns
    secrets: list[Secret]
    configs: list[Config]
    networks: list[Network]
    attachments: list[Attachment]
    templates: dict[ServiceId, dict[Position, TaskTemplate]]
    given: dict[TaskId, Given]
    given_up: dict[ServiceId, dict[Seat, TaskId]]
    restarts: dict[ServiceId, dict[Seat, tuple[Instant, ...]]]
    updates: dict[ServiceId, UpdateProgress]
    outcomes: dict[ServiceId, tuple[Outcome, ...]]
    rebalances: dict[ServiceId, Rebalance]
    failures: dict[ServiceId, Failures]
    departed: dict[ServiceId, dict[str, str]]
    spec_positions: dict[ServiceId, list[Position]]
    stack_positions: dict[str, list[Position]]
    cursors: dict[NetworkId, int]
    next_port: int
    next_vni: int
    next_subnet: int
    recent: dict[str, Position]


#: What a snapshot holds in the form that the state has.
_AS_THEY_ARE = (
    *("templates", "given", "given_up", "restarts", "updates", "outcomes", "rebalances", "failures", "spec_positions"),
    *("stack_positions", "departed", "cursors", "next_port", "next_vni", "next_subnet", "recent"),
)

_SNAPSHOT = msgspec.msgpack.Decoder(Snapshot)


def encode_state(state: ClusterState) -> bytes:
    """Return a snapshot: equal states give equal bytes."""
    statuses: dict[int, int] = {}
    distinct: list[TaskStatus] = []
    numbers: list[int] = []
    for task in state.tasks.values():
        # rows of one event share their status object; what shares it, shares its place here
        number = statuses.get(id(task.status))
        if number is None:
            number = statuses[id(task.status)] = len(distinct)
            distinct.append(task.status)
        numbers.append(number)
    tasks = list(state.tasks.values())
    snapshot = Snapshot(
        position=state.position,
        time=state.time,
        cluster=state.cluster,
        left=state.left,
        nodes=list(state.nodes.values()),
        services=list(state.services.values()),
        tasks=_TaskColumns(
            [_origin_row(t.origin) for t in tasks],
            [t.node_id for t in tasks],
            [t.desired for t in tasks],
            numbers,
            [t.version for t in tasks],
            [t.updated_at for t in tasks],
            distinct,
        ),
        secrets=list(state.secrets.values()),
        configs=list(state.configs.values()),
        networks=list(state.networks.values()),
        attachments=list(state.attachments.values()),
        **{name: getattr(state, name) for name in _AS_THEY_ARE},
    )
    return msgspec.msgpack.encode(snapshot)


def decode_state(body: bytes) -> ClusterState:
    """Return the state of a snapshot, its indexes rebuilt.

    Raises:
        Undecodable: the snapshot is of another form.
    """
    try:
        snapshot = _SNAPSHOT.decode(body)
    except msgspec.DecodeError as error:
        raise Undecodable(f"a checkpoint cannot be decoded: {error}") from error
    state = ClusterState()
    state.position, state.time = snapshot.position, snapshot.time
    state.cluster, state.left = snapshot.cluster, snapshot.left
    state.nodes = {node.id: node for node in snapshot.nodes}
    state.services = {service.id: service for service in snapshot.services}
    state.secrets = {SecretId(secret.id): secret for secret in snapshot.secrets}
    state.configs = {ConfigId(config.id): config for config in snapshot.configs}
    state.networks = {network.id: network for network in snapshot.networks}
    state.attachments = {attachment.id: attachment for attachment in snapshot.attachments}
    for name in _AS_THEY_ARE:
        setattr(state, name, getattr(snapshot, name))
    rows = snapshot.tasks
    # what was read is a copy in each row, of 32 bytes a number and 80 an id
    shared: dict[Any, Any] = {node_id: node_id for node_id in state.nodes}
    same: Callable[[Any, Any], Any] = shared.setdefault
    for row, node, desired, number, version, updated in zip(
        rows.origins, rows.nodes, rows.desired, rows.statuses, rows.versions, rows.updated, strict=True
    ):
        task_id, *others = row
        origin = TaskOrigin(task_id, *map(same, others, others))
        status = rows.distinct[number]
        state.tasks[task_id] = Task(
            origin, same(node, node), desired, status, same(version, version), same(updated, updated)
        )
    reindex(state)
    return state


def _origin_row(o: TaskOrigin) -> tuple[TaskId, ServiceId, int, Position, Instant, Position, Instant, TaskId, int]:
    return (o.id, o.service_id, o.slot, o.spec_version, o.created_at, o.created, o.start_at, o.replaces, o.attempt)
