"""The generated messages: current, quiet, and numbered as SwarmKit numbers them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2, logbroker_pb2, objects_pb2, specs_pb2, types_pb2

from tests.swarmkit.generate_wire import PROTO, WIRE, generate, generated

#: Fields that are not where one would look for them, or that are easily taken for their neighbours.
ODD: list[tuple[type[Message], str, int]] = [
    (dispatcher_pb2.SessionMessage, "RootCA", 5),
    (dispatcher_pb2.UpdateTaskStatusRequest, "updates", 3),
    (dispatcher_pb2.UpdateVolumeStatusRequest, "updates", 2),
    (dispatcher_pb2.Assignment, "volume", 4),
    (ca_pb2.IssueNodeCertificateRequest, "availability", 4),
    (ca_pb2.NodeCertificateStatusResponse, "certificate", 2),
    (logbroker_pb2.LogSubscriptionOptions, "since", 4),
    (objects_pb2.Node, "VXLANUDPPort", 11),
    (objects_pb2.Node, "attachments", 10),
    (objects_pb2.Task, "endpoint", 12),
    (objects_pb2.Task, "job_iteration", 16),
    (objects_pb2.Task, "volumes", 17),
    (specs_pb2.TaskSpec, "attachment", 8),
    (specs_pb2.TaskSpec, "generic", 10),
    (specs_pb2.TaskSpec, "resource_references", 11),
    (specs_pb2.ContainerSpec, "stop_grace_period", 9),
    (specs_pb2.ContainerSpec, "privileges", 22),
    (specs_pb2.ContainerSpec, "pidsLimit", 25),
    (specs_pb2.ContainerSpec, "ulimits", 29),
    (specs_pb2.ContainerSpec, "oom_score_adj", 30),
    (specs_pb2.ContainerSpec.PullOptions, "registry_auth", 64),
    (specs_pb2.SecretSpec, "templating", 3),
    (types_pb2.ResourceRequirements, "swap_bytes", 3),
    (types_pb2.Privileges, "no_new_privileges", 5),
    (types_pb2.IPAMOptions, "configs", 3),
    (types_pb2.NodeDescription, "csi_info", 7),
    (types_pb2.TaskStatus, "port_status", 6),
    (types_pb2.HealthConfig, "start_interval", 6),
]


def test_what_is_generated_is_current(tmp_path: Path) -> None:
    generate(tmp_path)
    assert generated(tmp_path) == generated(WIRE), "run `make proto`"


def test_every_proto_file_has_its_module() -> None:
    assert {f"{path.stem}_pb2.py" for path in PROTO.glob("*.proto")} <= generated(WIRE).keys()


def test_the_messages_are_imported_without_a_warning() -> None:
    names = ", ".join(Path(name).stem for name in generated(WIRE) if name.endswith(".py"))
    code = f"from skep_adapters.swarmkit.wire import {names}"
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("message", "name", "number"), ODD, ids=[f"{m.DESCRIPTOR.name}.{n}" for m, n, _ in ODD])
def test_a_field_has_swarmkits_number(message: Any, name: str, number: int) -> None:
    field: FieldDescriptor = message.DESCRIPTOR.fields_by_name[name]
    assert field.number == number


def test_streams_of_a_subscription_are_not_packed() -> None:
    options = logbroker_pb2.LogSubscriptionOptions(streams=["LOG_STREAM_STDOUT", "LOG_STREAM_STDERR"])
    assert options.SerializeToString() == b"\x08\x01\x08\x02"


def test_states_have_swarmkits_numbers() -> None:
    states = types_pb2.TaskState
    assert dict(zip(states.keys(), states.values(), strict=True)) == {
        "NEW": 0, "PENDING": 64, "ASSIGNED": 192, "ACCEPTED": 256, "PREPARING": 320, "READY": 384, "STARTING": 448,
        "RUNNING": 512, "COMPLETE": 576, "SHUTDOWN": 640, "FAILED": 704, "REJECTED": 768, "REMOVE": 800,
        "ORPHANED": 832,
    }  # fmt: skip
