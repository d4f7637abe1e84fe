"""What runs in a task: the container's part of a service spec, with the Engine API's field names.

A field that is None was not said. Durations are nanoseconds, sizes are bytes.
"""

from msgspec import Struct, field


class Part(Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A part of a spec: what equals its default was not said and is not written."""


class HealthConfig(Part, frozen=True):
    """How a task is asked whether it is well; durations in nanoseconds, 0 inherits."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class BindOptions(Part, frozen=True):
    """Options of a bind mount."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class Driver(Part, frozen=True):
    """A driver by name, with its options (volumes, logs, secrets)."""

    name: str = ""
    options: dict[str, str] = field(default_factory=dict)


class VolumeOptions(Part, frozen=True):
    """Options of a volume mount."""

    no_copy: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    subpath: str = ""
    driver_config: Driver | None = None


class TmpfsOptions(Part, frozen=True):
    """Options of a tmpfs mount; size in bytes."""

    size_bytes: int = 0
    mode: int = 0
    options: tuple[tuple[str, ...], ...] = ()


class Mount(Part, frozen=True):
    """A mount of a task."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: dict[str, object] | None = None
    image_options: dict[str, object] | None = None


class FileTarget(Part, frozen=True):
    """Where a secret or config appears as a file; `mode` holds permission bits."""

    name: str = ""
    uid: str = field(default="", name="UID")
    gid: str = field(default="", name="GID")
    mode: int = 0


class SecretReference(Part, frozen=True):
    """A secret that the task reads."""

    file: FileTarget | None = None
    secret_id: str = field(default="", name="SecretID")
    secret_name: str = ""


class ConfigReference(Part, frozen=True):
    """A config that the task reads, as a file or as its runtime's own (`runtime` is `{}` then)."""

    file: FileTarget | None = None
    runtime: dict[str, object] | None = None
    config_id: str = field(default="", name="ConfigID")
    config_name: str = ""


class DnsConfig(Part, frozen=True):
    """Names and how the task resolves them."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class CredentialSpec(Part, frozen=True):
    """Where a Windows credential spec lies."""

    config: str = ""
    file: str = ""
    registry: str = ""


class SELinuxContext(Part, frozen=True):
    """SELinux labels of a container."""

    disable: bool = False
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompOpts(Part, frozen=True):
    """Seccomp profile of a container; `profile` is base64."""

    mode: str = ""
    profile: str = ""


class AppArmorOpts(Part, frozen=True):
    """AppArmor mode of a container."""

    mode: str = ""


class Privileges(Part, frozen=True):
    """Security options of a container."""

    credential_spec: CredentialSpec | None = None
    se_linux_context: SELinuxContext | None = field(default=None, name="SELinuxContext")
    seccomp: SeccompOpts | None = None
    app_armor: AppArmorOpts | None = None
    no_new_privileges: bool = False


class Ulimit(Part, frozen=True):
    """A resource limit of a container's processes."""

    name: str = ""
    hard: int = 0
    soft: int = 0


class ContainerSpec(Part, frozen=True):
    """What a task of the container runtime runs."""

    image: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    hostname: str = ""
    env: tuple[str, ...] = ()
    dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    privileges: Privileges | None = None
    init: bool | None = None
    stop_signal: str = ""
    tty: bool = field(default=False, name="TTY")
    open_stdin: bool = False
    read_only: bool = False
    mounts: tuple[Mount, ...] = ()
    stop_grace_period: int | None = None
    healthcheck: HealthConfig | None = None
    hosts: tuple[str, ...] = ()
    dns_config: DnsConfig | None = field(default=None, name="DNSConfig")
    secrets: tuple[SecretReference, ...] = ()
    configs: tuple[ConfigReference, ...] = ()
    isolation: str = ""
    sysctls: dict[str, str] = field(default_factory=dict)
    capability_add: tuple[str, ...] = ()
    capability_drop: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
