"""Subscriptions to what tasks print: always with a selector and options, since without them the whole dockerd ends."""

from skep.ports.link import LineOptions, LineSelector, SubscriptionMessage

from skep_adapters.swarmkit.instants import timestamp
from skep_adapters.swarmkit.numbers import int64
from skep_adapters.swarmkit.wire import logbroker_pb2


def render_subscription(message: SubscriptionMessage) -> logbroker_pb2.SubscriptionMessage:
    """Return a subscription, or the end of one."""
    return logbroker_pb2.SubscriptionMessage(
        id=message.id,
        selector=render_selector(message.selector),
        options=render_options(message.options),
        close=message.close,
    )


def render_selector(selector: LineSelector) -> logbroker_pb2.LogSelector:
    """Return whose lines are wanted."""
    return logbroker_pb2.LogSelector(service_ids=selector.service_ids, task_ids=selector.task_ids)


def render_options(options: LineOptions) -> logbroker_pb2.LogSubscriptionOptions:
    """Return which lines are wanted; agents may send those of the other stream all the same."""
    streams = []
    if options.stdout:
        streams.append(logbroker_pb2.LOG_STREAM_STDOUT)
    if options.stderr:
        streams.append(logbroker_pb2.LOG_STREAM_STDERR)
    return logbroker_pb2.LogSubscriptionOptions(
        streams=streams,
        follow=options.follow,
        tail=_tail(options.tail),
        since=timestamp(options.since) if options.since else None,
    )


def _tail(lines: int | None) -> int:
    """Return how far back: 0 is all, -1 nothing, -(n+1) the last n. A positive one is an error to dockerd."""
    return 0 if lines is None else int64(-max(lines, 0) - 1)
