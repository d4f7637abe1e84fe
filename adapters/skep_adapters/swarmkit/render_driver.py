"""Drivers, names with labels, and versions: parts that many messages have."""

from collections.abc import Mapping

from skep.model.container import Driver
from skep.model.ids import Instant, Position

from skep_adapters.swarmkit.instants import timestamp
from skep_adapters.swarmkit.numbers import uint64
from skep_adapters.swarmkit.wire import objects_pb2, types_pb2


def render_driver(driver: Driver | None) -> types_pb2.Driver | None:
    """Return a driver, None where none was said."""
    return types_pb2.Driver(name=driver.name, options=driver.options) if driver is not None else None


def render_annotations(name: str, labels: Mapping[str, str] | None) -> types_pb2.Annotations:
    """Return a name with its labels."""
    return types_pb2.Annotations(name=name, labels=labels)


def render_meta(version: Position, created_at: Instant, updated_at: Instant) -> objects_pb2.Meta:
    """Return when an object was made and changed."""
    return objects_pb2.Meta(
        version=types_pb2.Version(index=uint64(version)),
        created_at=timestamp(created_at),
        updated_at=timestamp(updated_at),
    )
