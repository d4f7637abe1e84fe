"""Resources of a task, and of a node."""

from collections.abc import Iterable

from google.protobuf.wrappers_pb2 import Int64Value
from skep.model.service import GenericResource, Limits, Reservations, ResourceRequirements

from skep_adapters.swarmkit.numbers import int64
from skep_adapters.swarmkit.wire import types_pb2


def render_requirements(resources: ResourceRequirements) -> types_pb2.ResourceRequirements:
    """Return limits and reservations; the limit of processes is the container's."""
    limits, reservations = resources.limits, resources.reservations
    return types_pb2.ResourceRequirements(
        limits=_limits(limits) if limits is not None else None,
        reservations=_reservations(reservations) if reservations is not None else None,
        swap_bytes=_number(resources.swap_bytes),
        memory_swappiness=_number(resources.memory_swappiness),
    )


def render_generic(resources: Iterable[GenericResource]) -> list[types_pb2.GenericResource]:
    """Return resources that people defined; one that is neither named nor an amount is left out."""
    return [rendered for each in resources if (rendered := _generic(each)) is not None]


def _generic(resource: GenericResource) -> types_pb2.GenericResource | None:
    amount, named = resource.discrete_resource_spec, resource.named_resource_spec
    if amount is not None:
        discrete = types_pb2.DiscreteGenericResource(kind=amount.kind, value=int64(amount.value))
        return types_pb2.GenericResource(discrete_resource_spec=discrete)
    if named is not None:
        name = types_pb2.NamedGenericResource(kind=named.kind, value=named.value)
        return types_pb2.GenericResource(named_resource_spec=name)
    return None


def _limits(limits: Limits) -> types_pb2.Resources:
    return types_pb2.Resources(nano_cpus=int64(limits.nano_cpus), memory_bytes=int64(limits.memory_bytes))


def _reservations(reservations: Reservations) -> types_pb2.Resources:
    return types_pb2.Resources(
        nano_cpus=int64(reservations.nano_cpus),
        memory_bytes=int64(reservations.memory_bytes),
        generic=render_generic(reservations.generic_resources),
    )


def _number(number: int | None) -> Int64Value | None:
    return Int64Value(value=int64(number)) if number is not None else None
