"""What tasks print, as workers publish it."""

from collections.abc import Iterator, Sequence

from skep.model.ids import NodeId, ServiceId, TaskId
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream
from skep.ports.link import LineOptions, PublishedLine

from skep_adapters.swarmkit.instants import instant_of
from skep_adapters.swarmkit.unreadable import Unreadable, check_id
from skep_adapters.swarmkit.wire import logbroker_pb2

#: Lines of one message: an engine sends one in each. The shortest is two bytes, and costs 10 µs.
LINES_MAX = 1000

#: Of each line; what goes beyond is left out. They are repeated with every part of a line that is cut.
DETAILS_BYTES_MAX = 16 * 1024

#: What stands between a detail's name, its value and the next one; so not even those that say nothing are endless.
DETAIL_BYTES = 2


def parse_lines(messages: Sequence[logbroker_pb2.LogMessage], options: LineOptions) -> list[PublishedLine]:
    """Return those lines that `options` ask for: agents send both streams, whatever they were told.

    A line that is too long is cut into several. What a log driver adds to a line (labels, variables) is its details.
    That the node is the caller's is for the caller to check.

    Raises:
        Unreadable: an id is too long, or there are too many lines.
    """
    if len(messages) > LINES_MAX:
        raise Unreadable(f"messages has {len(messages)} entries")
    return [line for message in messages if _wanted(message, options) for line in _parse(message)]


def _wanted(message: logbroker_pb2.LogMessage, options: LineOptions) -> bool:
    return options.stderr if message.stream == logbroker_pb2.LOG_STREAM_STDERR else options.stdout


def _parse(message: logbroker_pb2.LogMessage) -> Iterator[PublishedLine]:
    task_id = TaskId(check_id(message.context.task_id, "messages.context.task_id"))
    service_id = ServiceId(check_id(message.context.service_id, "messages.context.service_id"))
    node_id = NodeId(check_id(message.context.node_id, "messages.context.node_id"))
    at = instant_of(message.timestamp)
    # a log driver that does not say which stream means the first
    stream = Stream.STDERR if message.stream == logbroker_pb2.LOG_STREAM_STDERR else Stream.STDOUT
    details = tuple(_details(message))
    for start in range(0, max(len(message.data), 1), LINE_BYTES_MAX):
        line = Line(at, stream, message.data[start : start + LINE_BYTES_MAX])
        yield PublishedLine(task_id, service_id, node_id, line, details)


def _details(message: logbroker_pb2.LogMessage) -> Iterator[tuple[str, str]]:
    left = DETAILS_BYTES_MAX
    for attribute in message.attrs:
        left -= len(attribute.key) + len(attribute.value) + DETAIL_BYTES
        if left < 0:
            return
        yield attribute.key, attribute.value
