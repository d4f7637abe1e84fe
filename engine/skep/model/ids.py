"""Names of things: ids, positions and instants.

An id is 25 characters of [0-9a-z], drawn by an injected source (`skep.ports.Ids`), never here.
"""

from typing import NewType

ClusterId = NewType("ClusterId", str)
NodeId = NewType("NodeId", str)
ServiceId = NewType("ServiceId", str)
TaskId = NewType("TaskId", str)
SecretId = NewType("SecretId", str)
ConfigId = NewType("ConfigId", str)
NetworkId = NewType("NetworkId", str)

#: A place in the log; dense, the first record is 1, and 0 is "before everything". It is also `Version.Index`.
Position = NewType("Position", int)

#: Nanoseconds since the Unix epoch, UTC.
Instant = NewType("Instant", int)

#: No node: what a task that waits for a place has.
NO_NODE = NodeId("")

#: No task: what a task that replaces nothing has.
NO_TASK = TaskId("")

#: No slot: what a task has whose service runs one on each node. Jobs count their slots from 0.
NO_SLOT = -1

#: What a task of a service has to itself: its slot, or its node where the service runs one on each.
Seat = int | NodeId

START = Position(0)
EPOCH = Instant(0)

NANOSECONDS = 1_000_000_000
