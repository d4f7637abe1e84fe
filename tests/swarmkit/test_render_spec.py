"""What a template says reaches the engine, all of it, and nothing else."""

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import structs
from skep.model.container import (
    ConfigReference,
    ContainerSpec,
    CredentialSpec,
    FileTarget,
    HealthConfig,
    Mount,
    Privileges,
    SeccompOpts,
    SecretReference,
    TmpfsOptions,
)
from skep.model.service import TaskSpec, TaskTemplate
from skep_adapters.swarmkit.render_container import render_container
from skep_adapters.swarmkit.render_endpoint import render_endpoint
from skep_adapters.swarmkit.render_spec import render_spec
from skep_adapters.swarmkit.wire import specs_pb2, types_pb2

from tests.swarmkit.whole import CONTAINER, SECOND, TEMPLATE, fields
from tests.tidy.strategies import examples

CASES = list(fields(TEMPLATE))


def sent(template: TaskTemplate) -> bytes:
    spec, endpoint = render_spec(template), render_endpoint(template, None)
    return spec.SerializeToString(deterministic=True) + endpoint.SerializeToString(deterministic=True)


@pytest.mark.parametrize(("said", "without"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_field_of_a_template_reaches_the_engine(said: bool, without: TaskTemplate) -> None:
    assert said, "the example says nothing here"
    assert sent(without) != sent(TEMPLATE)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(examples(TaskTemplate))
def test_whatever_a_spec_says_it_can_be_sent(template: TaskTemplate) -> None:
    rendered = render_spec(template)
    assert specs_pb2.TaskSpec.FromString(rendered.SerializeToString()) == rendered
    render_endpoint(template, None).SerializeToString()


def test_a_container_has_the_protocols_names() -> None:
    rendered = render_container(CONTAINER, pids=100)
    assert rendered.image == "registry:5000/app@sha256:ab"
    assert (list(rendered.command), list(rendered.args)) == (["/bin/app"], ["--verbose"])
    assert (rendered.dir, rendered.user, rendered.stop_signal) == ("/srv", "1000:1000", "SIGINT")
    assert (rendered.tty, rendered.open_stdin, rendered.read_only) == (True, True, True)
    assert rendered.stop_grace_period.ToNanoseconds() == 30 * SECOND + 500
    assert rendered.isolation == specs_pb2.ContainerSpec.ISOLATION_HYPERV
    assert (rendered.ulimits[0].name, rendered.ulimits[0].soft, rendered.ulimits[0].hard) == ("nofile", 10, 20)
    assert (rendered.pidsLimit, rendered.oom_score_adj) == (100, -5)
    assert list(rendered.dns_config.search) == ["example.org"]
    assert dict(rendered.sysctls) == {"net.core.somaxconn": "99"}


def test_templates_are_left_for_the_engine_to_expand() -> None:
    rendered = render_container(CONTAINER)
    assert rendered.hostname == "{{.Node.Hostname}}-{{.Task.Slot}}"
    assert rendered.env[1] == "SLOT={{.Task.Slot}}"
    assert rendered.mounts[0].source == "{{.Service.Name}}-data"


def test_what_was_not_said_is_not_sent() -> None:
    rendered = render_container(ContainerSpec(image="app"))
    assert rendered == specs_pb2.ContainerSpec(image="app")
    assert not rendered.HasField("init")
    assert not rendered.HasField("stop_grace_period")


def test_no_init_is_said_and_not_left_out() -> None:
    rendered = render_container(ContainerSpec(init=False))
    assert rendered.HasField("init")
    assert rendered.init.value is False


def test_a_mount_has_its_options() -> None:
    mount = render_container(CONTAINER).mounts[0]
    assert (mount.type, mount.readonly, mount.consistency) == (types_pb2.Mount.TMPFS, True, types_pb2.Mount.CACHED)
    assert mount.bind_options.propagation == types_pb2.Mount.BindOptions.RSLAVE
    assert (mount.bind_options.nonrecursive, mount.bind_options.createmountpoint) == (True, True)
    assert (mount.volume_options.nocopy, mount.volume_options.subpath) == (True, "sub")
    assert mount.volume_options.driver_config.options["type"] == "nfs"
    assert (mount.tmpfs_options.size_bytes, mount.tmpfs_options.mode) == (1 << 20, 0o1777)
    assert mount.tmpfs_options.options == '[["noexec"],["uid","5"]]'


@pytest.mark.parametrize(
    ("word", "kind"),
    [("bind", 0), ("volume", 1), ("tmpfs", 2), ("npipe", 3), ("cluster", 4), ("", 0), ("image", 0)],
)
def test_a_mount_is_of_a_kind(word: str, kind: int) -> None:
    assert render_container(ContainerSpec(mounts=(Mount(type=word),))).mounts[0].type == kind


def test_options_of_a_tmpfs_are_none_where_none_were_said() -> None:
    mount = Mount(type="tmpfs", tmpfs_options=TmpfsOptions(size_bytes=9))
    rendered = render_container(ContainerSpec(mounts=(mount,))).mounts[0]
    assert rendered.tmpfs_options.options == ""
    assert not rendered.HasField("bind_options")


def test_a_health_check_has_every_duration() -> None:
    rendered = render_container(ContainerSpec(healthcheck=HealthConfig(("NONE",)))).healthcheck
    for name in ("interval", "timeout", "start_period", "start_interval"):
        assert rendered.HasField(name)
    assert list(rendered.test) == ["NONE"]


def test_a_number_that_is_too_large_becomes_the_largest() -> None:
    rendered = render_container(ContainerSpec(healthcheck=HealthConfig(retries=2**40)))
    assert rendered.healthcheck.retries == 2**31 - 1


def test_an_owner_that_was_not_said_is_root() -> None:
    reference = SecretReference(FileTarget("key", mode=0o400), "s" * 25, "key")
    file = render_container(ContainerSpec(secrets=(reference,))).secrets[0].file
    assert (file.name, file.uid, file.gid, file.mode) == ("key", "0", "0", 0o400)


def test_a_config_of_the_runtime_is_no_file() -> None:
    config = render_container(CONTAINER).configs[1]
    assert config.WhichOneof("target") == "runtime"
    assert render_container(CONTAINER).configs[0].file.name == "conf"


def test_a_config_that_names_no_target_has_none() -> None:
    rendered = render_container(ContainerSpec(configs=(ConfigReference(config_id="c", config_name="n"),)))
    assert rendered.configs[0].WhichOneof("target") is None


def test_security_options_are_sent() -> None:
    privileges = render_container(CONTAINER).privileges
    assert privileges.credential_spec.WhichOneof("source") == "config"
    assert privileges.selinux_context.level == "s0"
    assert (privileges.seccomp.mode, privileges.seccomp.profile) == (types_pb2.Privileges.SeccompOpts.CUSTOM, b"{}")
    assert privileges.apparmor.mode == types_pb2.Privileges.AppArmorOpts.DISABLED
    assert privileges.no_new_privileges


@pytest.mark.parametrize(("spec", "source"), [({"file": "f"}, "file"), ({"registry": "r"}, "registry")])
def test_a_credential_spec_has_one_source(spec: dict[str, str], source: str) -> None:
    container = ContainerSpec(privileges=Privileges(credential_spec=CredentialSpec(**spec)))
    assert render_container(container).privileges.credential_spec.WhichOneof("source") == source


def test_a_profile_that_is_no_base64_is_not_dropped() -> None:
    container = ContainerSpec(privileges=Privileges(seccomp=SeccompOpts("custom", "{not base64}")))
    seccomp = render_container(container).privileges.seccomp
    assert (seccomp.mode, seccomp.profile) == (types_pb2.Privileges.SeccompOpts.CUSTOM, b"{not base64}")


def test_the_limit_of_processes_is_the_containers() -> None:
    rendered = render_spec(TEMPLATE)
    assert rendered.container.pidsLimit == 100
    assert (rendered.resources.limits.nano_cpus, rendered.resources.limits.memory_bytes) == (500_000_000, 1 << 30)


def test_swap_of_zero_and_no_swap_are_told_apart() -> None:
    rendered = render_spec(TEMPLATE).resources
    assert rendered.swap_bytes.value == -1
    assert rendered.HasField("memory_swappiness")
    assert rendered.memory_swappiness.value == 0


def test_generic_resources_are_names_or_amounts() -> None:
    named, amount = render_spec(TEMPLATE).resources.reservations.generic
    assert (named.named_resource_spec.kind, named.named_resource_spec.value) == ("GPU", "uuid1")
    assert (amount.discrete_resource_spec.kind, amount.discrete_resource_spec.value) == ("SSD", 3)


@pytest.mark.parametrize(("word", "condition"), [("none", 0), ("on-failure", 1), ("any", 2), ("", 2)])
def test_a_restart_policy_has_its_condition(word: str, condition: int) -> None:
    policy = TEMPLATE.spec.restart_policy
    assert policy is not None
    spec = structs.replace(TEMPLATE.spec, restart_policy=structs.replace(policy, condition=word))
    assert render_spec(structs.replace(TEMPLATE, spec=spec)).restart.condition == condition


def test_networks_of_the_service_are_those_of_its_tasks() -> None:
    network = render_spec(TEMPLATE).networks[0]
    assert (network.target, list(network.aliases), dict(network.driver_attachment_opts)) == (
        "n" * 25,
        ["alias"],
        {"opt": "1"},
    )


def test_a_container_of_the_node_that_joins_a_network_is_no_container_of_the_swarm() -> None:
    spec = TaskSpec(network_attachment_spec={"ContainerID": "abc"}, runtime="attachment")
    rendered = render_spec(TaskTemplate("", spec))
    assert rendered.WhichOneof("runtime") == "attachment"
    assert rendered.attachment.container_id == "abc"


def test_of_another_runtime_nothing_is_sent() -> None:
    rendered = render_spec(TaskTemplate("", TaskSpec(container_spec=CONTAINER, plugin_spec={}, runtime="plugin")))
    assert rendered.WhichOneof("runtime") is None


def test_an_empty_container_is_a_container() -> None:
    rendered = render_spec(TaskTemplate("", TaskSpec(container_spec=ContainerSpec())))
    assert rendered.WhichOneof("runtime") == "container"
