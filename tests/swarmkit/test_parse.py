"""What workers say of their tasks and of themselves: taken, bounded, or refused."""

import base64

import msgspec
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from skep.model.ids import Instant, TaskId
from skep.model.node import EngineDescription, EnginePlugin, NodeDescription, TlsInfo
from skep.model.service import DiscreteResource, GenericResource, NamedResource, Platform, PortConfig, Reservations
from skep.model.states import TaskState
from skep.model.task import ContainerStatus
from skep_adapters.swarmkit.instants import LAST, duration, instant_of, timestamp
from skep_adapters.swarmkit.parse_description import DESCRIPTION_BYTES_MAX, parse_description
from skep_adapters.swarmkit.parse_status import parse_report, parse_status
from skep_adapters.swarmkit.unreadable import Unreadable
from skep_adapters.swarmkit.wire import dispatcher_pb2, types_pb2

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(max_size=5000)


def status(state: int = 512, **fields: object) -> types_pb2.TaskStatus:
    said = types_pb2.TaskStatus(**fields)  # type: ignore[arg-type]  # each test names fields of their types
    said.state = state  # type: ignore[assignment]  # a worker may send any number
    return said


def port(number: int = 80, published: int = 30000, protocol: str = "TCP") -> types_pb2.PortConfig:
    return types_pb2.PortConfig(protocol=protocol, target_port=number, published_port=published, publish_mode="HOST")


def test_a_status_is_taken_as_it_was_said() -> None:
    said = status(
        timestamp=Timestamp(seconds=1_700_000_000, nanos=7),
        message="started",
        err="task: non-zero exit (3)",
        container=types_pb2.ContainerStatus(container_id="c" * 64, pid=4711, exit_code=3),
        port_status=types_pb2.PortStatus(ports=[port()]),
    )
    parsed = parse_status(said)
    assert (parsed.state, parsed.at) == (TaskState.RUNNING, 1_700_000_000_000_000_007)
    assert (parsed.message, parsed.err) == ("started", "task: non-zero exit (3)")
    assert parsed.container == ContainerStatus("c" * 64, 4711, 3)
    assert parsed.ports == (PortConfig("", "tcp", 80, 30000, "host"),)


def test_a_status_may_know_of_no_container() -> None:
    assert parse_status(status()).container is None


@pytest.mark.parametrize("state", [192, 256, 320, 384, 448, 512, 576, 640, 704, 768])
def test_a_worker_may_see_its_tasks_in_these_states(state: int) -> None:
    assert parse_status(status(state)).state == state


@pytest.mark.parametrize("state", [0, 64, 800, 832, 513, -1, 2**31 - 1])
def test_other_states_are_not_a_workers_to_say(state: int) -> None:
    with pytest.raises(Unreadable, match=f"state {state} is not"):
        parse_status(status(state))


def test_words_without_end_are_cut() -> None:
    parsed = parse_status(status(message="m" * 100_000, err="e" * 100_000))
    assert (len(parsed.message), len(parsed.err)) == (4096, 4096)


def test_an_id_of_a_container_without_end_is_cut() -> None:
    container = parse_status(status(container=types_pb2.ContainerStatus(container_id="c" * 9999))).container
    assert container is not None
    assert len(container.container_id) == 128


def test_a_port_said_for_both_families_is_kept_twice_as_in_swarm() -> None:
    parsed = parse_status(status(port_status=types_pb2.PortStatus(ports=[port(), port(53, 53, "UDP"), port()])))
    assert [one.target_port for one in parsed.ports] == [80, 53, 80]


def test_ports_that_are_none_are_left_out() -> None:
    odd = types_pb2.PortConfig(target_port=1)
    odd.protocol = 77  # type: ignore[assignment]  # a worker may send any number
    ports = [port(65_536), port(80, 2**32 - 1), odd, port(443)]
    assert [one.target_port for one in parse_status(status(port_status={"ports": ports})).ports] == [443]


def test_ports_without_end_are_refused() -> None:
    with pytest.raises(Unreadable, match="more than 4096 ports"):
        parse_status(status(port_status=types_pb2.PortStatus(ports=[port()] * 4097)))


@pytest.mark.parametrize(
    ("seconds", "nanos", "instant"),
    [(0, 0, 0), (1, 5, 1_000_000_005), (-5, 0, 0), (2**62, 0, LAST), (-(2**62), -(2**31), 0), (9_223_372_036, 1, None)],
)
def test_an_instant_lies_between_the_epoch_and_the_last(seconds: int, nanos: int, instant: int | None) -> None:
    expected = seconds * 1_000_000_000 + nanos if instant is None else instant
    assert instant_of(Timestamp(seconds=seconds, nanos=nanos)) == expected


@given(st.integers(0, LAST))
def test_an_instant_comes_back_as_it_was(nanoseconds: int) -> None:
    assert instant_of(timestamp(Instant(nanoseconds))) == nanoseconds


@given(INT64)
def test_a_duration_means_what_it_said(nanoseconds: int) -> None:
    assert duration(nanoseconds).ToNanoseconds() == nanoseconds


def test_a_report_names_its_task() -> None:
    update = dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id="t" * 25, status=status())
    report = parse_report(update)
    assert (report.task_id, report.status.state) == (TaskId("t" * 25), TaskState.RUNNING)


@pytest.mark.parametrize("task_id", ["", "t" * 129])
def test_a_report_of_no_task_is_refused(task_id: str) -> None:
    with pytest.raises(Unreadable, match=r"updates\.task_id"):
        parse_report(dispatcher_pb2.UpdateTaskStatusRequest.TaskStatusUpdate(task_id=task_id, status=status()))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seconds=INT64, nanos=INT32, state=INT32, words=TEXT, pid=INT32, published=st.integers(0, 2**32 - 1))
def test_whatever_a_status_says_it_is_taken_within_bounds_or_refused(
    seconds: int, nanos: int, state: int, words: str, pid: int, published: int
) -> None:
    said = status(
        state if state % 2 else 512,
        timestamp=Timestamp(seconds=seconds, nanos=nanos),
        message=words,
        container=types_pb2.ContainerStatus(container_id=words, pid=pid),
        port_status=types_pb2.PortStatus(ports=[port(80, published)]),
    )
    try:
        parsed = parse_status(said)
    except Unreadable:
        return
    assert len(msgspec.json.encode(parsed)) < 64 * 1024


def test_a_node_describes_itself() -> None:
    said = types_pb2.NodeDescription(
        hostname="box",
        platform=types_pb2.Platform(architecture="x86_64", os="linux"),
        resources=types_pb2.Resources(
            nano_cpus=2_000_000_000,
            memory_bytes=1 << 30,
            generic=[
                types_pb2.GenericResource(named_resource_spec=types_pb2.NamedGenericResource(kind="GPU", value="1")),
                types_pb2.GenericResource(
                    discrete_resource_spec=types_pb2.DiscreteGenericResource(kind="SSD", value=3)
                ),
                types_pb2.GenericResource(),
            ],
        ),
        engine=types_pb2.EngineDescription(
            engine_version="20.10.24",
            labels={"b": "2", "a": "1"},
            plugins=[types_pb2.PluginDescription(type="Network", name="overlay")],
        ),
        tls_info=types_pb2.NodeTLSInfo(
            trust_root=b"PEM", cert_issuer_subject=b"\x30\x01", cert_issuer_public_key=b"\x30\x02"
        ),
        fips=True,
    )
    assert parse_description(said) == NodeDescription(
        hostname="box",
        platform=Platform("x86_64", "linux"),
        resources=Reservations(
            2_000_000_000,
            1 << 30,
            (
                GenericResource(named_resource_spec=NamedResource("GPU", "1")),
                GenericResource(discrete_resource_spec=DiscreteResource("SSD", 3)),
            ),
        ),
        engine=EngineDescription("20.10.24", {"a": "1", "b": "2"}, (EnginePlugin("Network", "overlay"),)),
        tls_info=TlsInfo("PEM", base64.b64encode(b"\x30\x01").decode(), base64.b64encode(b"\x30\x02").decode()),
    )


def test_a_node_that_says_nothing_is_described_by_nothing() -> None:
    assert parse_description(types_pb2.NodeDescription()) == NodeDescription()


def test_a_node_has_no_less_than_nothing() -> None:
    amount = types_pb2.GenericResource(discrete_resource_spec={"kind": "SSD", "value": -3})
    said = types_pb2.NodeDescription(
        resources=types_pb2.Resources(nano_cpus=-1, memory_bytes=-(2**63), generic=[amount])
    )
    resources = parse_description(said).resources
    assert resources is not None
    assert (resources.nano_cpus, resources.memory_bytes) == (0, 0)
    assert resources.generic_resources == (GenericResource(discrete_resource_spec=DiscreteResource("SSD", 0)),)


def test_a_description_that_would_fill_a_record_is_refused() -> None:
    labels = {f"label-{number}": "x" * 100 for number in range(2000)}
    said = types_pb2.NodeDescription(engine=types_pb2.EngineDescription(labels=labels))
    with pytest.raises(Unreadable, match=r"description has \d+ bytes, more than 131072"):
        parse_description(said)


def test_the_largest_description_still_fits_into_a_record() -> None:
    said = types_pb2.NodeDescription(hostname="h", engine={"labels": {"l": "\x01" * (DESCRIPTION_BYTES_MAX - 100)}})
    assert len(msgspec.json.encode(parse_description(said))) < 1024 * 1024


def test_a_hostname_without_end_is_refused() -> None:
    with pytest.raises(Unreadable, match="hostname has 254 characters"):
        parse_description(types_pb2.NodeDescription(hostname="h" * 254))


def test_a_root_that_is_no_text_is_still_taken() -> None:
    info = parse_description(types_pb2.NodeDescription(tls_info=types_pb2.NodeTLSInfo(trust_root=b"\xff"))).tls_info
    assert info is not None
    assert info.trust_root == "\ufffd"
