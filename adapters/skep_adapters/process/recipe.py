"""The recipe of a task: what of its spec, its image's catalogue entry and its place makes a process.

Pure: decides what would be run, and refuses what cannot be, before anything is touched.
"""

import resource
from collections.abc import Iterator, Mapping

from msgspec import Struct
from skep.model.container import (
    AppArmorOpts,
    ContainerSpec,
    CredentialSpec,
    DnsConfig,
    Driver,
    Privileges,
    SeccompOpts,
    SELinuxContext,
)
from skep.model.service import Limits, ResourceRequirements, TaskSpec
from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedTask
from skep.runtime import task_addresses
from skep.runtime.health import HealthPlan, health_plan

from skep_adapters.process import words
from skep_adapters.process.catalog import Catalog, Image
from skep_adapters.process.leftovers import TASK_ID_VARIABLE

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NO_IMAGE = Image()

#: The docker CLI sends empty parts; and output is kept much as these two drivers keep it.
_ASKS_FOR_NOTHING = (
    *(DnsConfig(), CredentialSpec(), SELinuxContext(), SeccompOpts(), AppArmorOpts()),
    *("default", Driver(), Driver(name="json-file"), Driver(name="local")),
)


class Recipe(Struct, frozen=True):
    """What to run; `dir` empty is a directory of the task's own. `ignored` are fields of the spec left undone."""

    argv: tuple[str, ...]
    env: dict[str, str]
    dir: str
    user: str
    groups: tuple[str, ...]
    stop_signal: int
    rlimits: tuple[tuple[int, int, int], ...]
    no_new_privileges: bool
    health: HealthPlan | None
    ignored: tuple[str, ...]


def write_recipe(
    task: AssignedTask, catalog: Catalog, *, addr: str = "", limits: frozenset[str] = frozenset()
) -> Recipe:
    """Return what to run for `task`, which has the address `addr` to itself; `limits` can be set here.

    Raises:
        TaskRejected: it asks for what a process cannot have, or there is nothing to run.
    """
    spec = task.template.spec.container_spec
    if spec is None:
        raise TaskRejected("only tasks of the container runtime can be local processes")
    image = catalog.find(spec.image)
    argv = _argv(spec, image)
    image = image or _NO_IMAGE
    privileges = spec.privileges
    return Recipe(
        argv=argv,
        env=_environment(task, spec, image, addr),
        dir=spec.dir or image.dir,
        user=spec.user or image.user,
        groups=spec.groups,
        stop_signal=words.stop_signal(spec.stop_signal or image.stop_signal),
        rlimits=tuple(_rlimits(spec)),
        no_new_privileges=privileges is not None and privileges.no_new_privileges,
        health=_health(spec),
        ignored=tuple(fields_without_effect(task.template.spec, limits)),
    )


def _argv(spec: ContainerSpec, image: Image | None) -> tuple[str, ...]:
    """Return entrypoint and arguments as Docker puts them together. No image is an image with neither."""
    if spec.command:
        argv = spec.command + spec.args
    elif image is None:
        argv = spec.args
    else:
        argv = image.entrypoint + (spec.args or image.command)
    if not argv:
        raise words.no_command(spec.image)
    return argv


def _environment(task: AssignedTask, spec: ContainerSpec, image: Image, addr: str) -> dict[str, str]:
    """Return the image's variables, then the spec's, then ours; a name without `=` in the spec takes one away."""
    env = {"PATH": PATH, "HOSTNAME": spec.hostname or task.node_hostname, **image.env}
    for said in spec.env:
        name, equals, value = said.partition("=")
        if equals:
            env[name] = value
        else:
            env.pop(name, None)
    env |= _place(task)
    if addr:
        env[task_addresses.VARIABLE] = addr
    for name, value in env.items():
        if not name or "\0" in name + value:
            raise TaskRejected(f"environment variable {name!r}: its name is empty or it holds a null byte")
    return env


def _place(task: AssignedTask) -> Mapping[str, str]:
    return {
        TASK_ID_VARIABLE: task.id,
        "SKEP_TASK_NAME": task.name,
        "SKEP_TASK_SLOT": task.name_in_slot,
        "SKEP_SERVICE_NAME": task.service_name,
        "SKEP_NODE_ID": task.node_id,
    }


def _rlimits(spec: ContainerSpec) -> Iterator[tuple[int, int, int]]:
    for limit in spec.ulimits:
        number = getattr(resource, f"RLIMIT_{limit.name.upper()}", None)
        if not isinstance(number, int):
            raise TaskRejected(f"invalid ulimit type: {limit.name}")
        yield number, limit.soft, limit.hard


def _health(spec: ContainerSpec) -> HealthPlan | None:
    try:
        return health_plan(spec.healthcheck)
    except ValueError as error:
        raise TaskRejected(str(error)) from None


def fields_without_effect(task: TaskSpec, limits: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the names of fields that were said and that a process goes without; `limits` are those that can be set."""
    container = task.container_spec or ContainerSpec()
    privileges = container.privileges or Privileges()
    resources = task.resources or ResourceRequirements()
    maximum = resources.limits or Limits()
    for name, said in (
        ("TTY", container.tty),
        ("OpenStdin", container.open_stdin),
        ("Init", container.init),
        ("ReadOnly", container.read_only),
        ("Hosts", container.hosts),
        ("DNSConfig", container.dns_config),
        ("Sysctls", container.sysctls),
        ("CapabilityAdd", container.capability_add),
        ("CapabilityDrop", container.capability_drop),
        ("Isolation", container.isolation),
        ("OomScoreAdj", container.oom_score_adj),
        ("Privileges.CredentialSpec", privileges.credential_spec),
        ("Privileges.SELinuxContext", privileges.se_linux_context),
        ("Privileges.Seccomp", privileges.seccomp),
        ("Privileges.AppArmor", privileges.app_armor),
        ("Resources.Limits.NanoCPUs", maximum.nano_cpus),
        ("Resources.Limits.MemoryBytes", maximum.memory_bytes),
        ("Resources.Limits.Pids", maximum.pids),
        ("Resources.SwapBytes", resources.swap_bytes),
        ("Resources.MemorySwappiness", resources.memory_swappiness is not None),
        ("LogDriver", task.log_driver),
    ):
        if said and said not in _ASKS_FOR_NOTHING and name not in limits:
            yield name
