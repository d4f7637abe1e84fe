"""What tasks need of a node for themselves, and what those on a node hold of it.

A task holds from its assignment until it has really stopped, whatever is wanted of it: CPUs, memory, generic resources
and host-mode ports. Few templates demand any, so nothing is kept for all others.
"""

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from skep.model.node import NodeDescription
from skep.model.service import DiscreteResource, GenericResource, NamedResource, Reservations, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Given, Task

K = TypeVar("K")

#: A port of the host: protocol and number.
HostPort = tuple[str, int]

NOTHING = Reservations()
NOTHING_GIVEN = Given()


class Demand(Struct, frozen=True):
    """What each task of a template takes of its node; `generic` are kinds with amounts."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    generic: tuple[tuple[str, int], ...] = ()
    ports: tuple[HostPort, ...] = ()

    @property
    def reserves(self) -> bool:
        """Whether it takes anything but ports."""
        return bool(self.nano_cpus or self.memory_bytes or self.generic)


#: An amount that no node has: what is asked for by name, which only nodes may say (as in SwarmKit).
_UNHEARD_OF = 1 << 62


def demand_of(template: TaskTemplate) -> Demand | None:
    """Return what a task of `template` takes of its node; None if nothing."""
    resources = template.spec.resources
    wanted = (resources.reservations if resources is not None else None) or NOTHING
    ports = host_ports(template) if template.ports else ()
    if not (ports or wanted.nano_cpus or wanted.memory_bytes or wanted.generic_resources):
        return None
    return Demand(wanted.nano_cpus, wanted.memory_bytes, _amounts(wanted.generic_resources), ports)


def host_ports(template: TaskTemplate) -> tuple[HostPort, ...]:
    """Return the ports of the host that a task of `template` listens on, as far as they are known beforehand."""
    return tuple(
        (port.protocol or "tcp", port.published_port)
        for port in template.ports
        if port.publish_mode == "host" and port.published_port
    )


def _amounts(resources: Iterable[GenericResource]) -> tuple[tuple[str, int], ...]:
    """Return how much of each kind is wanted: together, if a kind is named twice; nothing, if it is less than none."""
    amounts: dict[str, int] = {}
    for kind, amount in map(_amount, resources):
        amounts[kind] = amounts.get(kind, 0) + max(0, amount)
    return tuple(amounts.items())


def _amount(resource: GenericResource) -> tuple[str, int]:
    if resource.discrete_resource_spec is not None:
        return resource.discrete_resource_spec.kind, resource.discrete_resource_spec.value
    return resource.named_resource_spec.kind if resource.named_resource_spec else "", _UNHEARD_OF


def holds(task: Task) -> bool:
    """Whether a task has its node's resources: it was assigned, and has not stopped."""
    return TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING and bool(task.node_id)


class Holdings:
    """What the tasks of one node hold together."""

    __slots__ = ("discrete", "memory_bytes", "named", "nano_cpus", "ports")

    def __init__(self) -> None:
        self.nano_cpus = 0
        self.memory_bytes = 0
        #: amounts by kind
        self.discrete: dict[str, int] = {}
        #: (kind, name) and port, each with how many hold it: more than one only while an old log is folded
        self.named: dict[tuple[str, str], int] = {}
        self.ports: dict[HostPort, int] = {}

    def copy(self) -> "Holdings":
        """Return an independent copy."""
        twin = Holdings()
        twin.nano_cpus, twin.memory_bytes = self.nano_cpus, self.memory_bytes
        twin.discrete, twin.named, twin.ports = dict(self.discrete), dict(self.named), dict(self.ports)
        return twin

    def value(self) -> dict[str, object]:
        """Return all of it for a comparison."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self.nano_cpus or self.memory_bytes or self.discrete or self.named or self.ports)

    def count(self, demand: Demand, resources: tuple[GenericResource, ...], by: int) -> None:
        """Count a task with its generic resources in (1) or out (-1)."""
        self.nano_cpus += by * demand.nano_cpus
        self.memory_bytes += by * demand.memory_bytes
        for port in demand.ports:
            _add(self.ports, port, by)
        for resource in resources:
            if resource.named_resource_spec is not None:
                _add(self.named, (resource.named_resource_spec.kind, resource.named_resource_spec.value), by)
            elif resource.discrete_resource_spec is not None:
                _add(self.discrete, resource.discrete_resource_spec.kind, by * resource.discrete_resource_spec.value)


def _add(counts: dict[K, int], key: K, by: int) -> None:
    now = counts.get(key, 0) + by
    if now:
        counts[key] = now
    else:
        counts.pop(key, None)


def has_resources(description: NodeDescription, held: Holdings | None, demand: Demand) -> bool:
    """Whether a node has what is demanded left, ports aside."""
    has = description.resources or NOTHING
    if demand.nano_cpus > has.nano_cpus - (held.nano_cpus if held else 0):
        return False
    if demand.memory_bytes > has.memory_bytes - (held.memory_bytes if held else 0):
        return False
    return all(choose(has, held, kind, amount) is not None for kind, amount in demand.generic)


def has_ports(held: Holdings | None, demand: Demand) -> bool:
    """Whether nobody on a node holds one of the ports that are demanded."""
    return held is None or not any(port in held.ports for port in demand.ports)


def choose_all(description: NodeDescription, held: Holdings | None, demand: Demand) -> tuple[GenericResource, ...]:
    """Return the generic resources of a node that a task with this demand gets; the node has them."""
    has = description.resources or NOTHING
    return tuple(one for kind, amount in demand.generic for one in choose(has, held, kind, amount) or ())


def choose(has: Reservations, held: Holdings | None, kind: str, amount: int) -> tuple[GenericResource, ...] | None:
    """Return what is taken of a node for `amount` of a kind, named ones in the node's order; None if it has too few."""
    named: dict[str, None] = {}
    for resource in has.generic_resources:
        discrete, name = resource.discrete_resource_spec, resource.named_resource_spec
        if discrete is not None and discrete.kind == kind:
            if amount > discrete.value - (held.discrete.get(kind, 0) if held else 0):
                return None
            return (GenericResource(discrete_resource_spec=DiscreteResource(kind, amount)),) if amount else ()
        if name is not None and name.kind == kind and (held is None or (kind, name.value) not in held.named):
            named[name.value] = None
            if len(named) >= amount:
                return tuple(GenericResource(named_resource_spec=NamedResource(kind, unit)) for unit in named if amount)
    return None
