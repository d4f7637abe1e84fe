"""Service specs: what is refused, in which words, and what a stored one gains.

The bodies in `recorded/` are what a real swarm was sent, and what it answered and stored.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skep.core.rejected import Code, Rejected
from skep.core.rules.service import check_service, needs_later, stored
from skep.model.service import ServiceSpec

RECORDED = Path(__file__).parent / "recorded"
IMAGE = "localhost:5000/bb:1"


def recorded(name: str) -> list[Any]:
    rows = json.loads((RECORDED / f"{name}.json").read_text())
    return [pytest.param(row, id=f"{row['scenario']}-{row['step']}") for row in rows]


def as_spec(body: dict[str, Any]) -> ServiceSpec:
    return msgspec.convert(body, ServiceSpec)


def a_service(
    *, task: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **top: Any
) -> ServiceSpec:
    """A spec that is fine but for what is given."""
    template = {"ContainerSpec": {"Image": IMAGE} | (container or {})} | (task or {})
    return as_spec({"Name": "web", "TaskTemplate": template} | top)


def answer(spec: ServiceSpec) -> str | None:
    """What the Engine API would say; None for yes."""
    try:
        check_service(stored(spec))
    except Rejected as rejected:
        return str(rejected) if rejected.bare else f"rpc error: code = {rejected.code} desc = {rejected}"
    return None


def wrong(message: str) -> str:
    return f"rpc error: code = InvalidArgument desc = {message}"


def later(spec: ServiceSpec) -> str:
    with pytest.raises(Rejected) as caught:
        needs_later(spec)
    assert caught.value.code is Code.UNIMPLEMENTED
    assert caught.value.bare
    return str(caught.value)


@pytest.mark.parametrize("row", recorded("services_refused"))
def test_a_refused_service_gets_the_recorded_answer(row: Any) -> None:
    assert answer(as_spec(row["sent"])) == row["message"]


@pytest.mark.parametrize("row", recorded("services_stored"))
def test_a_stored_service_gains_what_was_recorded(row: Any) -> None:
    sent = as_spec(row["sent"])
    assert answer(sent) is None
    assert msgspec.to_builtins(stored(sent)) == msgspec.to_builtins(as_spec(row["stored"]))


@pytest.mark.parametrize("row", recorded("services_stored"))
def test_storing_twice_is_storing_once(row: Any) -> None:
    once = stored(as_spec(row["sent"]))
    assert stored(once) == once


#: Of scenarios 12 and 22 only the table of errors is left; what was sent is made up after its words.
LISTED = [
    (a_service(task={"Resources": {"Limits": {"MemoryBytes": 4194303}}}),
     wrong("invalid memory value 4194303: Must be at least 4MiB")),
    (a_service(task={"Resources": {"Reservations": {"MemoryBytes": 1}}}),
     wrong("invalid memory value 1: Must be at least 4MiB")),
    (a_service(task={"Resources": {"Limits": {"NanoCPUs": 100000}}}),
     wrong("invalid cpu value 0.0001: Must be at least 0.001")),
    (a_service(task={"Resources": {"Limits": {"NanoCPUs": 1}}}),
     wrong("invalid cpu value 1e-09: Must be at least 0.001")),
    (a_service(task={"RestartPolicy": {"Delay": -1}}), wrong("TaskSpec: restart-delay cannot be negative")),
    (a_service(task={"RestartPolicy": {"Window": -1}}), wrong("TaskSpec: restart-window cannot be negative")),
    (a_service(task={"RestartPolicy": {"Condition": "bogus"}}), 'invalid RestartCondition: "bogus"'),
    (a_service(UpdateConfig={"Delay": -1}), wrong("TaskSpec: update-delay cannot be negative")),
    (a_service(UpdateConfig={"Monitor": -1}), wrong("TaskSpec: update-monitor cannot be negative")),
    (a_service(UpdateConfig={"MaxFailureRatio": 1.5}),
     wrong("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")),
    (a_service(UpdateConfig={"FailureAction": "bogus"}), "unrecognized update failure action bogus"),
    (a_service(UpdateConfig={"Order": "bogus"}), "unrecognized update order bogus"),
    (a_service(RollbackConfig={"Order": "bogus"}), "unrecognized update order bogus"),
    (a_service(EndpointSpec={"Mode": "bogus"}), 'invalid resolution mode: "bogus"'),
    (a_service(EndpointSpec={"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}),
     wrong("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")),
    (a_service(EndpointSpec={"Ports": [{"TargetPort": 1, "PublishedPort": 8, "Protocol": "tcp"},
                                       {"TargetPort": 2, "PublishedPort": 8}]}),
     wrong("EndpointSpec: duplicate published ports provided")),
    (a_service(Mode={"Replicated": {"Replicas": 2**64 - 1}}), wrong("Number of replicas must be non-negative")),
    (a_service(Mode={"Replicated": {}, "Global": {}}), "must specify only one service mode"),
    (a_service(Mode={"ReplicatedJob": {}}, UpdateConfig={"Parallelism": 1}),
     wrong("Jobs may not have an update config")),
    (a_service(task={"Runtime": "bogus"}), "unsupported runtime"),
    (a_service(task={"Runtime": "attachment"}), "unsupported runtime"),
    (a_service(task={"Runtime": "plugin"}), "mismatched Runtime and *Spec fields"),
    (a_service(task={"Placement": {"Constraints": ["bogus"]}}),
     "rpc error: code = Unknown desc = constraint expected one operator from ==, !="),
    (a_service(task={"Placement": {"Constraints": ["==x"]}}),
     "rpc error: code = Unknown desc = key '' is invalid"),
    (a_service(task={"Placement": {"Constraints": ["node.role==bad value!"]}}),
     "rpc error: code = Unknown desc = value 'bad value!' is invalid"),
    (a_service(container={"Healthcheck": {"Timeout": 999_999}}),
     wrong("ContainerSpec: Timeout in HealthConfig cannot be less than 1ms")),
    (a_service(container={"Healthcheck": {"StartPeriod": -1}}),
     wrong("ContainerSpec: StartPeriod in HealthConfig cannot be less than 1ms")),
    (a_service(container={"Secrets": [{"File": {"Name": "s"}, "SecretName": "s"}]}),
     wrong("malformed secret reference")),
    (a_service(container={"Configs": [{"ConfigID": "i", "ConfigName": "c"}]}),
     "invalid Config: either File or Runtime should be set"),
    (a_service(container={"Privileges": {"CredentialSpec": {"Config": "a", "File": "b"}}}),
     'invalid CredentialSpec: cannot specify both "config" and "file" credential specs'),
    (a_service(container={"Env": ["A={{.Bogus}}"]}),
     wrong('expanding env failed: expanding env "A={{.Bogus}}": template: expansion:1:2: executing "expansion" '
           "at <.Bogus>: can't evaluate field Bogus in type *template.Context")),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), LISTED, ids=[message[:60] for _, message in LISTED])
def test_a_refused_service_gets_the_listed_answer(spec: ServiceSpec, message: str) -> None:
    assert answer(spec) == message


@pytest.mark.parametrize(
    "spec",
    [
        a_service(task={"Placement": {"Constraints": ["bogus.key==1"]}}),
        a_service(container={"StopSignal": "bogus", "CapabilityAdd": ["bogus"], "Sysctls": {"a": "b"}}),
        a_service(task={"LogDriver": {"Name": "bogus"}}),
        a_service(container={"Mounts": [{"Type": "volume", "Source": "bad/name", "Target": ""}]}),
        a_service(EndpointSpec={"Ports": [{"TargetPort": 0, "PublishedPort": 70000, "Protocol": "bogus"}]}),
        a_service(container={"StopGracePeriod": -1}),
        a_service(task={"Resources": {"Limits": {"Pids": -5}}}),
        a_service(RollbackConfig={"MaxFailureRatio": 7.5}),
        a_service(Mode={"ReplicatedJob": {}}, RollbackConfig={"Parallelism": 1}),
        a_service(EndpointSpec={"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishMode": "host"}]}),
        a_service(EndpointSpec={"Ports": [{"PublishedPort": 9}, {"PublishedPort": 9, "Protocol": "udp"}]}),
        a_service(task={"Resources": {"Limits": {"MemoryBytes": 4194304}, "Reservations": {"MemoryBytes": 8388608}}}),
        a_service(Labels={"": "", "odd key!": "x"}),
    ],
)
def test_what_a_swarm_does_not_check_is_let_through(spec: ServiceSpec) -> None:
    assert answer(spec) is None


def test_unknown_isolation_protocol_and_publish_mode_are_stored_as_the_usual_ones() -> None:
    spec = a_service(
        container={"Isolation": "bogus"},
        EndpointSpec={"Ports": [{"TargetPort": 80, "Protocol": "bogus", "PublishMode": "bogus"}]},
    )
    kept = stored(spec)
    assert kept.container.isolation == "default"
    assert kept.endpoint_spec is not None
    assert (kept.endpoint_spec.ports[0].protocol, kept.endpoint_spec.ports[0].publish_mode) == ("tcp", "ingress")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"BindOptions": {"NonRecursive": True}}, {"BindOptions": {"NonRecursive": True, "Propagation": "rprivate"}}),
        ({"BindOptions": {"Propagation": "RSlave"}}, {"BindOptions": {"Propagation": "rslave"}}),
        ({"BindOptions": {}}, {}),
        ({"Consistency": "cached"}, {}),
    ],
)
def test_a_mount_is_stored_with_what_swarm_has_of_it(said: dict[str, Any], kept: dict[str, Any]) -> None:
    bind = {"Type": "bind", "Source": "/tmp", "Target": "/host"}  # noqa: S108  # nothing is written there
    (mount,) = stored(a_service(container={"Mounts": [bind | said]})).container.mounts
    assert msgspec.to_builtins(mount) == bind | kept


def test_a_job_without_numbers_is_stored_with_ones_and_explicit_zeros_stay() -> None:
    job = stored(a_service(Mode={"ReplicatedJob": {}})).mode
    assert job is not None
    assert job.replicated_job is not None
    assert (job.replicated_job.max_concurrent, job.replicated_job.total_completions) == (1, 1)
    assert stored(a_service(Mode={"Replicated": {"Replicas": 0}})).replicas == 0
    assert stored(a_service(Mode={})).replicas == 1


def test_a_file_config_and_a_file_secret_may_not_share_their_own_targets_but_may_each_others() -> None:
    secret = {"File": {"Name": "t"}, "SecretID": "s", "SecretName": "s"}
    config = {"File": {"Name": "t"}, "ConfigID": "c", "ConfigName": "c"}
    assert answer(a_service(container={"Secrets": [secret], "Configs": [config]})) is None
    assert answer(a_service(container={"Configs": [config, config | {"ConfigName": "d"}]})) == wrong(
        "config references 'c' and 'd' have a conflicting target: 't'"
    )


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (a_service(task={"Runtime": "plugin", "PluginSpec": {}}), "TaskTemplate.Runtime=plugin"),
    ],
)
def test_what_is_not_run_yet_is_refused_by_field_and_value(spec: ServiceSpec, named: str) -> None:
    assert named in later(stored(spec))


@pytest.mark.parametrize("mode", ["Replicated", "Global", "ReplicatedJob", "GlobalJob"])
def test_every_mode_is_run_and_every_restart_policy(mode: str) -> None:
    needs_later(stored(a_service(task={"RestartPolicy": {"MaxAttempts": 2, "Window": 7}}, Mode={mode: {}})))


def test_what_the_scheduler_knows_is_not_refused() -> None:
    needs_later(
        stored(
            a_service(
                task={
                    "Placement": {
                        "Constraints": ["node.role==worker"],
                        "MaxReplicas": 2,
                        "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
                        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
                    },
                    "Resources": {
                        "Limits": {"NanoCPUs": 10**9},
                        "Reservations": {
                            "NanoCPUs": 10**8,
                            "MemoryBytes": 2**20,
                            "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}],
                        },
                    },
                },
                EndpointSpec={
                    "Mode": "vip",
                    "Ports": [
                        {"TargetPort": 80, "PublishMode": "ingress"},
                        {"TargetPort": 81, "PublishedPort": 81, "PublishMode": "host"},
                    ],
                },
            )
        )
    )


@given(st.text(max_size=40))
def test_any_image_is_taken_or_rejected_in_words(image: str) -> None:
    message = answer(a_service(container={"Image": image}))
    assert message is None or message.startswith("rpc error: code = InvalidArgument desc = ContainerSpec: ")


@pytest.mark.parametrize(
    "image",
    [
        "bb", "bb:1", "library/bb", "localhost:5000/bb:1", "localhost/bb", "ghcr.io/a/b-c_d.e__f:V1.2-x",
        "bb@sha256:" + "a" * 64, "LOCALHOST.example/bb", "a/b/c/d", "example.com:80/x",
    ],
)  # fmt: skip
def test_images_are_taken(image: str) -> None:
    assert answer(a_service(container={"Image": image})) is None


@pytest.mark.parametrize(
    "image",
    [
        "BAD", "bad image", "bb:", ":1", "bb@sha256:abc", "a" * 64, "-x", "bb:-1", "a//b", "/a", "a/", "a..b",
        "x" * 256, "bb@", "exa_mple.com/bb", "bb:1\n",
    ],
)  # fmt: skip
def test_what_is_no_image_is_not_taken(image: str) -> None:
    assert answer(a_service(container={"Image": image})) == wrong(
        f'ContainerSpec: "{image}" is not a valid repository/tag'
    )
