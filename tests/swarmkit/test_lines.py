"""Subscriptions to lines, and the lines that come."""

import pytest
from skep.model.ids import Instant, NodeId, ServiceId, TaskId
from skep.ports.lines import LINE_BYTES_MAX, Line, Stream
from skep.ports.link import LineOptions, LineSelector, PublishedLine, SubscriptionMessage
from skep_adapters.swarmkit.instants import timestamp
from skep_adapters.swarmkit.parse_lines import DETAILS_BYTES_MAX, LINES_MAX, parse_lines
from skep_adapters.swarmkit.render_selector import render_subscription
from skep_adapters.swarmkit.unreadable import Unreadable
from skep_adapters.swarmkit.wire import logbroker_pb2

AT = Instant(1_700_000_000_000_000_042)
STDOUT, STDERR = logbroker_pb2.LOG_STREAM_STDOUT, logbroker_pb2.LOG_STREAM_STDERR
BOTH = LineOptions()


def printed(data: bytes, stream: logbroker_pb2.LogStream = STDOUT, **context: str) -> logbroker_pb2.LogMessage:
    names = {"service_id": "s", "node_id": "n", "task_id": "t"} | context
    return logbroker_pb2.LogMessage(
        context=logbroker_pb2.LogContext(**names), timestamp=timestamp(AT), stream=stream, data=data
    )


def test_a_subscription_says_whose_lines_and_which() -> None:
    selector = LineSelector((TaskId("t"),), (ServiceId("s"),))
    options = LineOptions(follow=True, tail=10, since=AT, stderr=False)
    rendered = render_subscription(SubscriptionMessage("id", selector, options))
    assert (rendered.id, rendered.close) == ("id", False)
    assert (list(rendered.selector.task_ids), list(rendered.selector.service_ids)) == (["t"], ["s"])
    assert list(rendered.options.streams) == [STDOUT]
    assert rendered.options.follow
    assert rendered.options.since.ToNanoseconds() == AT


def test_selector_and_options_are_there_even_if_they_say_nothing() -> None:
    nothing = LineOptions(stdout=False, stderr=False)
    sent = render_subscription(SubscriptionMessage("id", LineSelector(), nothing, close=True)).SerializeToString()
    received = logbroker_pb2.SubscriptionMessage.FromString(sent)
    assert received.HasField("selector")
    assert received.HasField("options")
    assert received.close


@pytest.mark.parametrize(("lines", "tail"), [(None, 0), (0, -1), (1, -2), (100, -101), (-5, -1), (2**70, -(2**63))])
def test_a_tail_is_counted_from_the_end(lines: int | None, tail: int) -> None:
    assert render_subscription(SubscriptionMessage("", LineSelector(), LineOptions(tail=lines))).options.tail == tail


def test_lines_since_the_start_have_no_since() -> None:
    assert not render_subscription(SubscriptionMessage("", LineSelector(), BOTH)).options.HasField("since")


def test_a_line_comes_with_its_task() -> None:
    assert parse_lines([printed(b"hello\n")], BOTH) == [
        PublishedLine(TaskId("t"), ServiceId("s"), NodeId("n"), Line(AT, Stream.STDOUT, b"hello\n"))
    ]


def test_a_line_comes_with_what_its_log_driver_says_of_it() -> None:
    message = printed(b"hello\n")
    for key, value in (("label", "a"), ("VARIABLE", "b")):
        message.attrs.add(key=key, value=value)
    (line,) = parse_lines([message], BOTH)
    assert line.details == (("label", "a"), ("VARIABLE", "b"))
    assert line.size == len(b"hello\n") + len("labelaVARIABLEb")


def test_details_beyond_a_bound_are_left_out() -> None:
    message = printed(b"hello\n")
    for key in ("one", "two"):
        message.attrs.add(key=key, value="x" * (DETAILS_BYTES_MAX - 10))
    (line,) = parse_lines([message], BOTH)
    assert [key for key, _ in line.details] == ["one"]


def test_details_that_say_nothing_are_bounded_too() -> None:
    message = printed(b"hello\n")
    for _ in range(DETAILS_BYTES_MAX):
        message.attrs.add()
    (line,) = parse_lines([message], BOTH)
    assert len(line.details) <= DETAILS_BYTES_MAX // 2


def test_more_lines_than_an_engine_sends_at_once_are_refused() -> None:
    lines = [printed(b"")] * LINES_MAX
    assert len(parse_lines(lines, BOTH)) == LINES_MAX
    with pytest.raises(Unreadable, match=f"messages has {LINES_MAX + 1} entries"):
        parse_lines([*lines, printed(b"")], BOTH)


@pytest.mark.parametrize(
    ("options", "streams"),
    [
        (BOTH, [Stream.STDOUT, Stream.STDERR]),
        (LineOptions(stderr=False), [Stream.STDOUT]),
        (LineOptions(stdout=False), [Stream.STDERR]),
        (LineOptions(stdout=False, stderr=False), []),
    ],
)
def test_lines_of_a_stream_that_nobody_asked_for_are_left_out(options: LineOptions, streams: list[Stream]) -> None:
    lines = parse_lines([printed(b"o"), printed(b"e", STDERR)], options)
    assert [line.line.stream for line in lines] == streams


def test_a_line_of_no_stream_counts_as_output() -> None:
    (line,) = parse_lines([printed(b"x", logbroker_pb2.LOG_STREAM_UNKNOWN)], BOTH)
    assert line.line.stream is Stream.STDOUT


def test_a_line_that_is_too_long_becomes_several() -> None:
    data = bytes(LINE_BYTES_MAX) + b"rest\n"
    lines = parse_lines([printed(data)], BOTH)
    assert [len(line.line.data) for line in lines] == [LINE_BYTES_MAX, 5]
    assert b"".join(line.line.data for line in lines) == data


def test_an_empty_line_is_a_line() -> None:
    assert [line.line.data for line in parse_lines([printed(b"")], BOTH)] == [b""]


@pytest.mark.parametrize("field", ["task_id", "service_id", "node_id"])
def test_an_id_that_is_too_long_is_refused(field: str) -> None:
    with pytest.raises(Unreadable, match=f"{field} has 129 characters"):
        parse_lines([printed(b"", **{field: "x" * 129})], BOTH)
