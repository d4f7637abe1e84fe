"""Everything that is stored comes back as it was; what is not known is never passed over in silence."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skep.core.codec import Undecodable, UnknownEvent, decode_command, decode_record, encode_command, encode_record
from skep.core.commands import COMMANDS, Command, RemoveService
from skep.core.events import EVENTS, Event, ServiceRemoved
from skep.core.record import Actor, Planned, Record, Submitted
from skep.model.ids import Instant, Position, ServiceId

from tests.tidy.strategies import examples

#: The same examples on every run: a rare one is a new test, not a run that fails by chance.
thoroughly = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

A_COMMAND = RemoveService(ServiceId("s" * 25))
AN_EVENT = ServiceRemoved(ServiceId("s" * 25))


def _record(*events: Event, input_: Submitted | Planned | None = None) -> Record:
    return Record(
        Position(7), Instant(9), Actor("person", "root", "cli"), input_ or Submitted((A_COMMAND,), "one"), events
    )


def _stored(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode_record(_record(AN_EVENT))) | changes).encode()


@pytest.mark.parametrize("kind", EVENTS.values(), ids=list(EVENTS))
@thoroughly
@given(data=st.data())
def test_every_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    record = _record(data.draw(examples(kind)))
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=list(COMMANDS))
@thoroughly
@given(data=st.data())
def test_every_command_comes_back_as_it_was(kind: type[Command], data: st.DataObject) -> None:
    command = data.draw(examples(kind))
    assert decode_command(encode_command(command)) == command
    record = _record(AN_EVENT, input_=Submitted((command,), "one"))
    assert decode_record(encode_record(record)) == record


def test_a_planned_record_comes_back_as_it_was() -> None:
    record = _record(AN_EVENT, input_=Planned("reaping", "s" * 25, Instant(8)))
    assert decode_record(encode_record(record)) == record


def test_a_record_is_one_object_of_json_that_names_its_parts() -> None:
    stored = json.loads(encode_record(_record(AN_EVENT)))
    assert stored["events"] == [{"type": "service.removed/1", "service_id": "s" * 25}]
    assert stored["input"]["commands"] == [{"type": "remove-service/1", "service_id": "s" * 25}]
    assert (stored["position"], stored["time"], stored["actor"]["kind"]) == (7, 9, "person")


def test_an_unknown_event_is_refused_with_its_name_and_position() -> None:
    with pytest.raises(UnknownEvent, match=r"record 7 holds 'moon\.rose/1'") as caught:
        decode_record(_stored(events=[{"type": "moon.rose/1"}]))
    assert caught.value.position == 7


def test_an_unknown_event_that_is_marked_ignorable_is_named_and_left_out() -> None:
    known = {"type": "service.removed/1", "service_id": "s" * 25}
    record = decode_record(_stored(events=[{"type": "moon.rose/1", "ignorable": True, "phase": 3}, known]))
    assert record.events == (AN_EVENT,)
    assert record.unknown == ("moon.rose/1",)


def test_an_unknown_command_is_refused_too() -> None:
    with pytest.raises(UnknownEvent):
        decode_record(_stored(input={"type": "commands", "commands": [{"type": "raise-moon/1"}]}))


def test_an_unknown_field_of_a_known_event_is_no_obstacle() -> None:
    event = {"type": "service.removed/1", "service_id": "s" * 25, "reason": "from a later version"}
    assert decode_record(_stored(events=[event])).events == (AN_EVENT,)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"position": "seven"}'])
def test_what_is_no_record_is_undecodable(body: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_record(body)
