"""Specs in which every field says something, and what follows from each of their fields."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from skep.model.container import (
    AppArmorOpts,
    BindOptions,
    ConfigReference,
    ContainerSpec,
    CredentialSpec,
    DnsConfig,
    Driver,
    FileTarget,
    HealthConfig,
    Mount,
    Privileges,
    SeccompOpts,
    SecretReference,
    SELinuxContext,
    TmpfsOptions,
    Ulimit,
    VolumeOptions,
)
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    Limits,
    NamedResource,
    NetworkAttachment,
    Placement,
    PlacementPreference,
    Platform,
    PortConfig,
    Reservations,
    ResourceRequirements,
    RestartPolicy,
    SpreadOver,
    TaskSpec,
    TaskTemplate,
)

SECOND = 1_000_000_000

MOUNT = Mount(
    type="tmpfs",
    source="{{.Service.Name}}-data",
    target="/data",
    read_only=True,
    consistency="cached",
    bind_options=BindOptions("rslave", True, True, True, True),
    volume_options=VolumeOptions(True, {"a": "b"}, "sub", Driver("local", {"type": "nfs"})),
    tmpfs_options=TmpfsOptions(1 << 20, 0o1777, (("noexec",), ("uid", "5"))),
)

CONTAINER = ContainerSpec(
    image="registry:5000/app@sha256:ab",
    labels={"l": "1"},
    command=("/bin/app",),
    args=("--verbose",),
    hostname="{{.Node.Hostname}}-{{.Task.Slot}}",
    env=("A=1", "SLOT={{.Task.Slot}}"),
    dir="/srv",
    user="1000:1000",
    groups=("docker",),
    privileges=Privileges(
        CredentialSpec(config="cred"),
        SELinuxContext(True, "u", "r", "t", "s0"),
        SeccompOpts("custom", "e30="),
        AppArmorOpts("disabled"),
        True,
    ),
    init=False,
    stop_signal="SIGINT",
    tty=True,
    open_stdin=True,
    read_only=True,
    mounts=(MOUNT,),
    stop_grace_period=30 * SECOND + 500,
    healthcheck=HealthConfig(("CMD", "true"), SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND, 5),
    hosts=("10.0.0.9 db",),
    dns_config=DnsConfig(("8.8.8.8",), ("example.org",), ("ndots:2",)),
    secrets=(SecretReference(FileTarget("key", "7", "8", 0o444), "s" * 25, "key"),),
    configs=(
        ConfigReference(FileTarget("conf", "7", "8", 0o400), None, "c" * 25, "conf"),
        ConfigReference(None, {}, "d" * 25, "cred"),
    ),
    isolation="hyperv",
    sysctls={"net.core.somaxconn": "99"},
    capability_add=("CAP_NET_ADMIN",),
    capability_drop=("CAP_CHOWN",),
    ulimits=(Ulimit("nofile", 20, 10),),
    oom_score_adj=-5,
)

TEMPLATE = TaskTemplate(
    service_name="web",
    spec=TaskSpec(
        container_spec=CONTAINER,
        resources=ResourceRequirements(
            Limits(500_000_000, 1 << 30, 100),
            Reservations(
                250_000_000,
                1 << 29,
                (
                    GenericResource(named_resource_spec=NamedResource("GPU", "uuid1")),
                    GenericResource(discrete_resource_spec=DiscreteResource("SSD", 3)),
                ),
            ),
            swap_bytes=-1,
            memory_swappiness=0,
        ),
        restart_policy=RestartPolicy("on-failure", 5 * SECOND, 3, 60 * SECOND),
        placement=Placement(
            ("node.role==worker",),
            (PlacementPreference(SpreadOver("node.labels.zone")),),
            2,
            (Platform("amd64", "linux"),),
        ),
        log_driver=Driver("json-file", {"max-size": "1m"}),
        force_update=4,
    ),
    networks=(NetworkAttachment("n" * 25, ("alias",), {"opt": "1"}),),
    ports=(PortConfig("http", "udp", 80, 8080, "host"),),
    dnsrr=True,
)

#: What has no place in the protocol, or excludes what stands there, by struct and field.
PASSED_OVER = {
    (Mount, "cluster_options"),
    (Mount, "image_options"),
    (CredentialSpec, "file"),
    (CredentialSpec, "registry"),
    (ConfigReference, "file"),
    (ConfigReference, "runtime"),
    (GenericResource, "named_resource_spec"),
    (GenericResource, "discrete_resource_spec"),
    (TaskSpec, "plugin_spec"),
    (TaskSpec, "network_attachment_spec"),
    (TaskSpec, "networks"),
    (TaskSpec, "runtime"),
    (TaskTemplate, "service_name"),
    (TaskTemplate, "iteration"),
    (TaskTemplate, "credentials"),
}


def fields(value: Any, put: Callable[[Any], Any] = lambda changed: changed) -> Iterator[tuple[str, bool, Any]]:
    """Yield every field below a struct: its name, whether it says something, and the whole without it."""
    if isinstance(value, tuple):
        for index, member in enumerate(value):
            yield from fields(member, lambda new, i=index: put((*value[:i], new, *value[i + 1 :])))  # type: ignore[misc]  # the loop's own
    if not isinstance(value, msgspec.Struct):
        return
    for one in msgspec.structs.fields(type(value)):
        member = getattr(value, one.name)
        if (type(value), one.name) not in PASSED_OVER:
            unsaid = _default(one)
            name = f"{type(value).__name__}.{one.name}"
            yield name, member != unsaid, put(msgspec.structs.replace(value, **{one.name: unsaid}))
        yield from fields(
            member,
            lambda new, name=one.name: put(msgspec.structs.replace(value, **{name: new})),  # type: ignore[misc]  # likewise
        )


def _default(one: msgspec.structs.FieldInfo) -> Any:
    if one.default_factory is not msgspec.NODEFAULT:
        return one.default_factory()
    return TaskSpec() if one.default is msgspec.NODEFAULT else one.default
