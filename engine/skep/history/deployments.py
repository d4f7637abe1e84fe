"""Deployments of a stack: what its log's records add up to, and what its services were after each.

Whoever deploys through skep makes one record. Docker's client sends a request for each thing, one after the other:
first it removes services that are to go, then it makes networks, secrets and configs, then services. Its requests count
as one deployment as long as

- the same person sends them by the same client, none later than `PAUSE_MAX` after the one before;
- they come in that order, or in the order in which it removes a stack;
- none is about something that the deployment was about already.

What a plan does of its own (an update that fails goes back) belongs to no deployment; the next one begins from it.
"""

from collections.abc import Sequence

from msgspec import Struct

from skep.core.codec import decode_record
from skep.core.events import (
    ConfigCreated,
    ConfigRemoved,
    ConfigUpdated,
    Event,
    NetworkCreated,
    NetworkRemoved,
    SecretCreated,
    SecretRemoved,
    SecretUpdated,
    ServiceCreated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
)
from skep.core.record import Actor, Record
from skep.model.ids import NANOSECONDS, START, Instant, NetworkId, Position, ServiceId
from skep.model.network import NetworkSpec
from skep.model.secret import ConfigSpec, Sealed, SecretSpec
from skep.model.service import ServiceSpec
from skep.model.stack import stack_of
from skep.ports.event_log import EventLog

#: Between two requests the client may ask a registry for a digest, which takes seconds.
PAUSE_MAX = 10 * NANOSECONDS

#: What the id of a command begins with that changes a stack as a whole: `stack-deploy:NAME:...`.
WHOLE = "stack-"

#: The order in which Docker's client sends its requests. What removes a stack ends with what nobody uses any more.
_PHASES = {("service", "removed"): 0, ("network", "created"): 1, ("secret", "created"): 2, ("secret", "updated"): 2}
_PHASES |= {("config", "created"): 3, ("config", "updated"): 3}
_SERVICES, _LEFTOVERS = 4, 5

_KINDS: dict[type[Event], str] = {SecretCreated: "secret", SecretUpdated: "secret", SecretRemoved: "secret"}
_KINDS |= {ConfigCreated: "config", ConfigUpdated: "config", ConfigRemoved: "config", NetworkRemoved: "network"}


class Done(Struct, frozen=True):
    """What a deployment did: `what` is created, updated, rolled back or removed, `kind` service, network and so on."""

    what: str
    kind: str
    name: str


class ServiceThen(Struct, frozen=True):
    """A service as it was; `position` is the one that set its spec."""

    id: ServiceId
    spec: ServiceSpec
    position: Position
    credentials: Sealed | None = None


class Deployment(Struct, frozen=True):
    """A change of a stack as a whole, its number counted from 1. `position` and `ended_at` are its last record's.

    `kind` is deployment, rollback or removal. `services` are those that the stack had after it.
    """

    number: int
    kind: str
    actor: Actor
    began_at: Instant
    ended_at: Instant
    position: Position
    done: tuple[Done, ...]
    services: tuple[ServiceThen, ...]


class StackHistory(Struct, frozen=True):
    """The deployments of a stack, oldest first, and the networks that it ever made."""

    deployments: tuple[Deployment, ...]
    networks: dict[NetworkId, NetworkSpec]


async def read_history(log: EventLog, name: str, positions: Sequence[Position]) -> StackHistory:
    """Return the history of a stack, whose changes stand at these positions."""
    folding = _Folding(name)
    for position in positions:
        for recorded in await log.read(Position(position - 1), limit=1):
            folding.take(decode_record(recorded.body))
    return folding.end()


class _Open(Struct):
    """A deployment that may go on."""

    kind: str
    actor: Actor
    began_at: Instant
    whole: bool
    ended_at: Instant = Instant(0)
    position: Position = START
    phase: int = 0
    done: list[Done] = []
    services: tuple[ServiceThen, ...] = ()


class _Folding:
    def __init__(self, name: str) -> None:
        self._name = name
        self._services: dict[ServiceId, ServiceThen] = {}
        self._networks: dict[NetworkId, NetworkSpec] = {}
        #: what has the stack's label, by id
        self._known: dict[str, str] = {}
        self._ended: list[Deployment] = []
        self._open: _Open | None = None

    def take(self, record: Record) -> None:
        """Add a record, later than those before."""
        done = [one for event in record.events if (one := self._done(event, record.position)) is not None]
        if not done or record.actor.kind == "plan":
            return
        now = self._open
        if now is None or not _goes_on(now, record, done):
            self._close()
            whole = record.command_id.startswith(WHOLE)
            kind = "rollback" if record.command_id.startswith(f"{WHOLE}rollback:") else "deployment"
            now = self._open = _Open(kind, record.actor, record.time, whole)
        now.ended_at, now.position = record.time, record.position
        now.phase = max(_phase(one) for one in done)
        now.done += done
        now.services = tuple(self._services.values())

    def end(self) -> StackHistory:
        """Return all that was taken."""
        self._close()
        return StackHistory(tuple(self._ended), self._networks)

    def _close(self) -> None:
        now, self._open = self._open, None
        if now is None:
            return
        kind = "removal" if all(one.what == "removed" for one in now.done) and not now.services else now.kind
        self._ended.append(
            Deployment(
                number=len(self._ended) + 1,
                kind=kind,
                actor=now.actor,
                began_at=now.began_at,
                ended_at=now.ended_at,
                position=now.position,
                done=tuple(now.done),
                services=now.services,
            )
        )

    def _done(self, event: Event, position: Position) -> Done | None:
        """Take in what an event says of this stack."""
        match event:
            case ServiceCreated() | ServiceUpdated() | ServiceRolledBack():
                return self._service(event, position)
            case ServiceRemoved(service_id=service_id):
                self._services.pop(service_id, None)
                return self._gone("service", service_id)
            case NetworkCreated(network_id=network_id, spec=spec):
                self._networks[network_id] = spec
                return self._thing("created", "network", network_id, spec)
            case SecretCreated(secret_id=object_id, spec=spec) | ConfigCreated(config_id=object_id, spec=spec):
                return self._thing("created", _KINDS[type(event)], object_id, spec)
            case SecretUpdated(secret_id=object_id, spec=spec) | ConfigUpdated(config_id=object_id, spec=spec):
                return self._thing("updated", _KINDS[type(event)], object_id, spec)
            case (
                NetworkRemoved(network_id=object_id)
                | SecretRemoved(secret_id=object_id)
                | ConfigRemoved(config_id=object_id)
            ):
                return self._gone(_KINDS[type(event)], object_id)
        return None

    def _service(self, event: ServiceCreated | ServiceUpdated | ServiceRolledBack, position: Position) -> Done | None:
        name = event.spec.name
        if stack_of(event.spec.labels) != self._name:
            # its label was taken away: to the stack it is gone
            self._services.pop(event.service_id, None)
            return self._gone("service", event.service_id)
        self._services[event.service_id] = ServiceThen(event.service_id, event.spec, position, event.credentials)
        self._known[event.service_id] = name
        words = {ServiceCreated: "created", ServiceUpdated: "updated", ServiceRolledBack: "rolled back"}
        return Done(words[type(event)], "service", name)

    def _thing(self, what: str, kind: str, object_id: str, spec: NetworkSpec | SecretSpec | ConfigSpec) -> Done | None:
        if stack_of(spec.labels) == self._name:
            self._known[object_id] = spec.name
            return Done(what, kind, spec.name)
        return self._gone(kind, object_id)

    def _gone(self, kind: str, object_id: str) -> Done | None:
        name = self._known.pop(object_id, None)
        return Done("removed", kind, name) if name is not None else None


def _goes_on(now: _Open, record: Record, done: list[Done]) -> bool:
    """Whether a record belongs to a deployment that may go on."""
    about = {(one.kind, one.name): None for one in now.done}
    return (
        not now.whole
        and not record.command_id.startswith(WHOLE)
        and record.actor == now.actor
        and record.time - now.ended_at <= PAUSE_MAX
        and min(_phase(one) for one in done) >= now.phase
        and not any((one.kind, one.name) in about for one in done)
    )


def _phase(done: Done) -> int:
    if done.what == "removed" and done.kind != "service":
        return _LEFTOVERS
    return _PHASES.get((done.kind, done.what), _SERVICES)
