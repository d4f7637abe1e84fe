"""Transactions: all or nothing, versions, and what each record says of where it comes from."""

import skep
from skep.core.codec import encode_state
from skep.core.commands import CreateService, RemoveService, UpdateService
from skep.core.record import Planned
from skep.core.rejected import Rejected
from skep.model.ids import Position, ServiceId
from skep.model.states import TaskState
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising

A, B = ServiceId("a"), ServiceId("b")
SPEC = skep.service_spec("web", "demo")


def test_of_several_commands_all_are_done_or_none() -> None:
    swarm = CoreSwarm()
    before = encode_state(swarm.state)
    with raising(Rejected):
        swarm.submit(CreateService(A, SPEC), CreateService(B, SPEC))
    assert encode_state(swarm.state) == before
    record = swarm.submit(CreateService(A, SPEC), CreateService(B, skep.service_spec("db", "demo")))
    assert record is not None
    assert [event.name for event in record.events] == ["service.created/1"] * 2
    assert swarm.service(A).version == swarm.service(B).version == record.position
    swarm.check_records()


def test_a_later_command_sees_what_an_earlier_one_did() -> None:
    swarm = CoreSwarm()
    swarm.submit(CreateService(A, SPEC), RemoveService(A))
    assert not swarm.state.services
    swarm.quiet()
    swarm.check()


def test_a_rejected_command_leaves_the_state_as_it_was() -> None:
    swarm = CoreSwarm()
    swarm.create(SPEC)
    swarm.quiet()
    before = encode_state(swarm.state)
    with raising(Rejected):
        swarm.submit(CreateService(B, SPEC))
    assert encode_state(swarm.state) == before


def test_any_version_from_the_last_write_of_a_client_on_is_accepted() -> None:
    swarm = CoreSwarm()
    web = swarm.create(SPEC)
    written = swarm.service(web).version
    swarm.quiet()
    swarm.update(web, skep.service_spec("web", "better"))
    client = swarm.service(web).version
    swarm.advance(30)
    service = swarm.service(web)
    assert service.version > client == service.written
    for version in (written, Position(client - 1), Position(service.version + 1)):
        with raising(Rejected) as caught:
            swarm.submit(UpdateService(web, version, SPEC))
        assert str(caught) == "update out of sequence"
    swarm.submit(UpdateService(web, client, SPEC))
    swarm.check()


def test_a_command_id_is_remembered_with_its_position() -> None:
    swarm = CoreSwarm()
    record = swarm.submit(CreateService(A, SPEC), command_id="one")
    assert record is not None
    assert swarm.state.recent == {"one": record.position}
    swarm.check_records()


def test_every_plan_names_an_earlier_position_as_its_cause() -> None:
    swarm = CoreSwarm()
    web = swarm.create(SPEC)
    swarm.quiet()
    swarm.report(swarm.tasks(web)[0], TaskState.FAILED)
    swarm.advance(10)
    swarm.update(web, skep.service_spec("web", "better"))
    swarm.advance(60)
    planned = [record for record in swarm.records if isinstance(record.input, Planned)]
    assert {record.actor.name for record in planned} >= {"replicas", "placement", "restarts", "updates", "starts"}
    for record in planned:
        assert 0 < record.cause < record.position
    swarm.check()


def test_time_never_goes_back_though_the_clock_does() -> None:
    swarm = CoreSwarm()
    swarm.create(SPEC)
    swarm.now = type(swarm.now)(swarm.now - 10**12)
    swarm.create(skep.service_spec("db", "demo"))
    swarm.quiet()
    times = [record.time for record in swarm.records]
    assert times == sorted(times)
    swarm.check_records()
