"""Instants and durations: nanoseconds in skep's model, seconds and nanoseconds in messages."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from skep.model.ids import NANOSECONDS, Instant

#: The last instant that 64 bits hold, in the year 2262.
LAST = 2**63 - 1


def timestamp(instant: Instant) -> Timestamp:
    """Return an instant as messages have it."""
    return Timestamp(seconds=instant // NANOSECONDS, nanos=instant % NANOSECONDS)


def duration(nanoseconds: int) -> Duration:
    """Return a duration as messages have it: both of its parts have its sign."""
    seconds, rest = divmod(abs(nanoseconds), NANOSECONDS)
    sign = -1 if nanoseconds < 0 else 1
    return Duration(seconds=sign * seconds, nanos=sign * rest)


def instant_of(stamp: Timestamp) -> Instant:
    """Return what a worker's timestamp says, between the epoch and the last instant, whatever it says."""
    return Instant(min(max(stamp.seconds * NANOSECONDS + stamp.nanos, 0), LAST))
