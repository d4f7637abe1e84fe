"""Services: the spec that a person writes, and the object that the swarm keeps.

Specs have the Engine API's names; a field that is None was not said (FACTS, chapter 2 says what a stored spec gains).
"""

from msgspec import Struct, field

from skep.model.container import ContainerSpec, Driver, Part
from skep.model.ids import START, Instant, NetworkId, Position, ServiceId, TaskId
from skep.model.secret import Sealed
from skep.model.states import Mode, UpdateState


class NamedResource(Part, frozen=True):
    """One unit of a generic resource, by name."""

    kind: str = ""
    value: str = ""


class DiscreteResource(Part, frozen=True):
    """An amount of a generic resource."""

    kind: str = ""
    value: int = 0


class GenericResource(Part, frozen=True):
    """A user-defined resource: exactly one of its fields is set."""

    named_resource_spec: NamedResource | None = None
    discrete_resource_spec: DiscreteResource | None = None


class Limits(Part, frozen=True):
    """The most that a task may use: billionths of a CPU, bytes, processes."""

    nano_cpus: int = field(default=0, name="NanoCPUs")
    memory_bytes: int = 0
    pids: int = 0


class Reservations(Part, frozen=True):
    """What a node must have free for a task, and what a node has."""

    nano_cpus: int = field(default=0, name="NanoCPUs")
    memory_bytes: int = 0
    generic_resources: tuple[GenericResource, ...] = ()


class ResourceRequirements(Part, frozen=True):
    """Limits and reservations of a task."""

    limits: Limits | None = None
    reservations: Reservations | None = None
    swap_bytes: int | None = None
    memory_swappiness: int | None = None


class RestartPolicy(Part, frozen=True):
    """When a task that ended is replaced; durations in nanoseconds."""

    condition: str = ""
    delay: int | None = None
    max_attempts: int | None = None
    window: int | None = None


class SpreadOver(Part, frozen=True):
    """Spread tasks evenly over the values of a node's label."""

    spread_descriptor: str = ""


class PlacementPreference(Part, frozen=True):
    """A wish of the scheduler's, not a condition."""

    spread: SpreadOver | None = None


class Platform(Part, frozen=True):
    """A platform that an image is built for, or a node has."""

    architecture: str = ""
    os: str = field(default="", name="OS")


class Placement(Part, frozen=True):
    """Which nodes a task may go to."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[PlacementPreference, ...] = ()
    max_replicas: int = 0
    platforms: tuple[Platform, ...] = ()


class NetworkAttachment(Part, frozen=True):
    """A network that tasks of the service join."""

    target: str = ""
    aliases: tuple[str, ...] = ()
    driver_opts: dict[str, str] = field(default_factory=dict)


class TaskSpec(Part, frozen=True):
    """The template of a service's tasks."""

    container_spec: ContainerSpec | None = None
    plugin_spec: dict[str, object] | None = None
    network_attachment_spec: dict[str, object] | None = None
    resources: ResourceRequirements | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    networks: tuple[NetworkAttachment, ...] = ()
    log_driver: Driver | None = None
    force_update: int | None = None
    runtime: str = ""


class ReplicatedMode(Part, frozen=True):
    """So many tasks, wherever they fit."""

    replicas: int | None = None


class ReplicatedJobMode(Part, frozen=True):
    """So many tasks run to completion."""

    max_concurrent: int | None = None
    total_completions: int | None = None


class ServiceMode(Part, frozen=True):
    """Exactly one of four; an empty dict is a mode without parameters."""

    replicated: ReplicatedMode | None = None
    global_: dict[str, object] | None = field(default=None, name="Global")
    replicated_job: ReplicatedJobMode | None = None
    global_job: dict[str, object] | None = None


class UpdateConfig(Part, frozen=True):
    """How an update goes through the tasks; durations in nanoseconds. The first and last two are always written."""

    parallelism: int | None = None
    delay: int = 0
    failure_action: str = ""
    monitor: int = 0
    max_failure_ratio: float | None = None
    order: str = ""


class PortConfig(Part, frozen=True):
    """A port that the service publishes."""

    name: str = ""
    protocol: str = ""
    target_port: int = 0
    published_port: int = 0
    publish_mode: str = ""


class EndpointSpec(Part, frozen=True):
    """How a service is reached."""

    mode: str = ""
    ports: tuple[PortConfig, ...] = ()


class ServiceSpec(Part, frozen=True):
    """What a person wants of a service."""

    name: str = ""
    labels: dict[str, str] | None = None
    task_template: TaskSpec | None = None
    mode: ServiceMode | None = None
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: tuple[NetworkAttachment, ...] = ()
    endpoint_spec: EndpointSpec | None = None

    @property
    def template(self) -> TaskSpec:
        """The template of its tasks; an empty one where none was said."""
        return self.task_template or _EMPTY_TASK

    @property
    def container(self) -> ContainerSpec:
        """The container of its tasks; an empty one where none was said."""
        return self.template.container_spec or _EMPTY_CONTAINER

    @property
    def kind(self) -> Mode:
        """Which of the four modes it has."""
        mode = self.mode
        if mode is None or mode.replicated is not None:
            return Mode.REPLICATED
        if mode.global_ is not None:
            return Mode.GLOBAL
        return Mode.REPLICATED_JOB if mode.replicated_job is not None else Mode.GLOBAL_JOB

    @property
    def replicas(self) -> int | None:
        """How many replicas it wants; None if its mode is another."""
        if self.mode is None or self.mode.replicated is None:
            return None
        wanted = self.mode.replicated.replicas
        return 1 if wanted is None else wanted


_EMPTY_TASK = TaskSpec()
_EMPTY_CONTAINER = ContainerSpec()


class VirtualIp(Struct, frozen=True, rename={"network_id": "NetworkID", "addr": "Addr"}):
    """An address of the whole service on a network, with its prefix length."""

    network_id: NetworkId
    addr: str


class Endpoint(Struct, frozen=True, omit_defaults=True):
    """What the allocator gave a service."""

    ports: tuple[PortConfig, ...] = ()
    virtual_ips: tuple[VirtualIp, ...] = ()


class UpdateStatus(Struct, frozen=True, omit_defaults=True):
    """How the last update of a service stands. `completed_at` is 0 until it is."""

    state: UpdateState
    started_at: Instant
    message: str = ""
    completed_at: Instant = Instant(0)


class Outcome(Struct, frozen=True, omit_defaults=True):
    """How an update, or a rollback, of a service ended.

    - `state`: completed, paused, superseded (by a newer update, or the service's removal), rolled-back;
    - `why`: a sentence; `changed`: the fields of the spec that differ, as paths (`TaskTemplate.ContainerSpec.Image`);
    - `spec_at`: the position that set the spec it was to bring about; `began_at` that of its beginning, and
      `ended_at` that of its end;
    - `made`: how many tasks it made, and `tasks` their ids, the first 1,000; `failed` those that failed in it.
    """

    state: str
    why: str
    changed: tuple[str, ...]
    spec_at: Position
    began_at: Position
    ended_at: Position
    started_at: Instant
    completed_at: Instant
    rollback: bool = False
    made: int = 0
    tasks: tuple[TaskId, ...] = ()
    failed: tuple[TaskId, ...] = ()


class JobStatus(Struct, frozen=True):
    """How often a job was run: `iteration` counts from 0, `executed_at` is when its last run began."""

    iteration: int
    executed_at: Instant


class TaskTemplate(Struct, frozen=True):
    """All of a service's spec that makes its tasks what they are; tasks name it by the position that set it.

    Each run of a job has a template of its own: `iteration` tells them apart, and is None where there is no job.
    `dnsrr` says that the service has no address of its own where it could have one: to change that replaces tasks
    (recorded in scenario 25). `credentials` are those of the image's registry.
    """

    service_name: str
    spec: TaskSpec
    networks: tuple[NetworkAttachment, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    iteration: int | None = None
    dnsrr: bool = False
    credentials: Sealed | None = None

    @staticmethod
    def of(spec: ServiceSpec, iteration: int | None = None, credentials: Sealed | None = None) -> "TaskTemplate":
        """Return the template that `spec` gives its tasks."""
        networks = spec.template.networks or spec.networks
        endpoint = spec.endpoint_spec
        ports = endpoint.ports if endpoint else ()
        return TaskTemplate(
            service_name=spec.name,
            spec=spec.template,
            networks=networks,
            ports=ports,
            iteration=iteration,
            dnsrr=endpoint is not None and endpoint.mode == "dnsrr" and bool(networks or ports),
            credentials=credentials,
        )


class Service(Struct, frozen=True, kw_only=True):
    """A service as the swarm keeps it.

    `version` is the position of its last change, `written` that of its last change by a client, `spec_version` the one
    that set the template of its present tasks, `previous_written` the one that set its previous spec. Each spec has its
    credentials for the registry of its image beside it, which no answer shows.
    """

    id: ServiceId
    spec: ServiceSpec
    version: Position
    written: Position
    spec_version: Position
    created_at: Instant
    updated_at: Instant
    previous_spec: ServiceSpec | None = None
    previous_written: Position = START
    credentials: Sealed | None = None
    previous_credentials: Sealed | None = None
    endpoint: Endpoint | None = None
    update_status: UpdateStatus | None = None
    job: JobStatus | None = None
