"""Tasks, with what dockerd looks into without asking whether it is there."""

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import structs
from skep.model.container import Driver
from skep.model.ids import Instant, NetworkId, NodeId, Position, ServiceId, TaskId
from skep.model.network import Network, NetworkSpec
from skep.model.service import (
    DiscreteResource,
    Endpoint,
    GenericResource,
    PortConfig,
    TaskSpec,
    TaskTemplate,
    VirtualIp,
)
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, TaskStatus
from skep.ports.link import AssignedNetwork, AssignedTask, RegistryAuth
from skep_adapters.swarmkit.parse_status import parse_status
from skep_adapters.swarmkit.render_network import render_network
from skep_adapters.swarmkit.render_spec import render_spec
from skep_adapters.swarmkit.render_status import render_status
from skep_adapters.swarmkit.render_task import render_task
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2

from tests.swarmkit.whole import TEMPLATE
from tests.tidy.strategies import examples

NET = Network(
    id=NetworkId("n" * 25),
    spec=NetworkSpec(name="back", driver=Driver("overlay")),
    version=Position(3),
    written=Position(3),
    created_at=Instant(1),
    updated_at=Instant(2),
)

AT = Instant(1_700_000_000_123_456_789)

TASK = AssignedTask(
    id=TaskId("t" * 25),
    service_id=ServiceId("s" * 25),
    service_name="web",
    slot=2,
    node_id=NodeId("w" * 25),
    node_hostname="box",
    service_labels={"team": "a"},
    spec_version=Position(41),
    template=TEMPLATE,
    desired=TaskState.RUNNING,
    status=TaskStatus(TaskState.ASSIGNED, AT),
    networks=(AssignedNetwork(NET, "10.0.1.5/24", ("alias", "db")),),
    endpoint=Endpoint(
        ports=(PortConfig("", "tcp", 80, 30000, "ingress"),),
        virtual_ips=(VirtualIp(NetworkId("n" * 25), "10.0.1.2/24"),),
    ),
)


def test_a_task_is_named_and_placed() -> None:
    task = render_task(TASK)
    assert (task.id, task.service_id, task.node_id, task.slot) == ("t" * 25, "s" * 25, "w" * 25, 2)
    assert (task.service_annotations.name, dict(task.service_annotations.labels)) == ("web", {"team": "a"})
    assert task.spec_version.index == 41
    assert task.desired_state == types_pb2.RUNNING
    assert task.spec == render_spec(TEMPLATE)


def test_a_task_gets_its_name_from_the_engine() -> None:
    assert not render_task(TASK).HasField("annotations")


@pytest.mark.parametrize("slot", [-1, 0])
def test_a_task_without_a_slot_has_slot_zero(slot: int) -> None:
    assert render_task(structs.replace(TASK, slot=slot)).slot == 0


@pytest.mark.parametrize("desired", [TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE])
def test_what_is_wanted_has_the_same_number(desired: TaskState) -> None:
    assert render_task(structs.replace(TASK, desired=desired)).desired_state == desired


def test_the_least_of_tasks_has_a_status_and_a_spec() -> None:
    bare = AssignedTask(
        TaskId("t"), ServiceId("s"), "web", -1, NodeId("n"), "box", {}, Position(0),
        TaskTemplate("web", TaskSpec()), TaskState.RUNNING, TaskStatus(TaskState.ASSIGNED, Instant(0)),
    )  # fmt: skip
    task = render_task(bare)
    assert task.HasField("spec")
    assert task.HasField("status")
    assert task.HasField("service_annotations")
    assert task.status.HasField("timestamp")
    assert not task.networks
    assert not task.HasField("log_driver")


def test_a_network_is_sent_whole_with_the_tasks_address_and_names() -> None:
    (attachment,) = render_task(TASK).networks
    assert attachment.network == render_network(NET)
    assert list(attachment.addresses) == ["10.0.1.5/24"]
    assert list(attachment.aliases) == ["alias", "db"]
    assert dict(attachment.driver_attachment_opts) == {"opt": "1"}


def test_a_network_of_the_nodes_own_gives_no_address() -> None:
    task = render_task(structs.replace(TASK, networks=(AssignedNetwork(NET),)))
    assert list(task.networks[0].addresses) == []


def test_a_service_is_reached_by_its_ports_and_addresses() -> None:
    endpoint = render_task(TASK).endpoint
    assert endpoint.spec.mode == specs_pb2.EndpointSpec.DNSRR
    assert [(p.name, p.protocol, p.target_port, p.publish_mode) for p in endpoint.spec.ports] == [
        ("http", types_pb2.PortConfig.UDP, 80, types_pb2.PortConfig.HOST)
    ]
    assert [(p.protocol, p.published_port, p.publish_mode) for p in endpoint.ports] == [
        (types_pb2.PortConfig.TCP, 30000, types_pb2.PortConfig.INGRESS)
    ]
    assert [(vip.network_id, vip.addr) for vip in endpoint.virtual_ips] == [("n" * 25, "10.0.1.2/24")]


def test_a_service_without_an_endpoint_has_given_nothing() -> None:
    endpoint = render_task(structs.replace(TASK, endpoint=None)).endpoint
    assert endpoint.HasField("spec")
    assert (list(endpoint.ports), list(endpoint.virtual_ips)) == ([], [])


def test_lines_go_where_the_spec_says_else_where_the_engine_says() -> None:
    driver = render_task(TASK).log_driver
    assert (driver.name, dict(driver.options)) == ("json-file", {"max-size": "1m"})
    unsaid = structs.replace(TEMPLATE, spec=structs.replace(TEMPLATE.spec, log_driver=None))
    assert not render_task(structs.replace(TASK, template=unsaid)).HasField("log_driver")


def test_credentials_reach_the_engine_and_nobody_who_looks_at_a_task() -> None:
    task = structs.replace(TASK, registry_auth=RegistryAuth("eyJ1c2VybmFtZSI6ImFubiJ9"))
    spec = render_spec(TEMPLATE)
    assert render_task(task, spec=spec).spec.container.pull_options.registry_auth == "eyJ1c2VybmFtZSI6ImFubiJ9"
    assert spec == render_spec(TEMPLATE)  # what other tasks share has none
    assert not render_task(TASK).spec.container.HasField("pull_options")
    assert "eyJ1" not in repr(task)


def test_the_run_of_a_job_is_said_even_if_it_is_the_first() -> None:
    first = render_task(structs.replace(TASK, template=structs.replace(TEMPLATE, iteration=0)))
    assert first.HasField("job_iteration")
    assert not render_task(TASK).HasField("job_iteration")


def test_a_task_is_told_which_resources_it_was_given() -> None:
    given_ = GenericResource(discrete_resource_spec=DiscreteResource("SSD", 2))
    (resource,) = render_task(TASK, resources=(given_, GenericResource())).assigned_generic_resources
    assert resource.discrete_resource_spec.value == 2


def test_what_many_tasks_share_can_be_made_once() -> None:
    spec, network = specs_pb2.TaskSpec(force_update=9), objects_pb2.Network(id="known")
    task = render_task(TASK, spec=spec, network=lambda _: network)
    assert task.spec == spec
    assert task.networks[0].network.id == "known"


@pytest.mark.parametrize(
    "status",
    [
        TaskStatus(TaskState.ASSIGNED, AT, "scheduler assigned task to node"),
        TaskStatus(TaskState.RUNNING, AT, "started", "", ContainerStatus("c" * 64, 4711, 0)),
        TaskStatus(TaskState.FAILED, AT, "started", "task: non-zero exit (3)", ContainerStatus("c", 0, 3)),
        TaskStatus(TaskState.RUNNING, AT, "m", ports=(PortConfig("", "udp", 53, 30001, "host"),)),
        TaskStatus(TaskState.RUNNING, AT, "m", "", ContainerStatus("c", 1, -1)),
    ],
)
def test_a_stored_status_is_told_as_it_was_reported(status: TaskStatus) -> None:
    assert parse_status(render_status(status)) == status


def test_a_status_that_says_nothing_says_what_swarm_would() -> None:
    assert render_status(TaskStatus(TaskState.ACCEPTED, AT)).message == "accepted"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(examples(AssignedTask))
def test_whatever_a_task_is_it_can_be_sent(task: AssignedTask) -> None:
    rendered = render_task(task)
    assert objects_pb2.Task.FromString(rendered.SerializeToString()) == rendered
