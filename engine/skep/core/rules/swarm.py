"""Rules of the swarm's spec, and its defaults (scenarios 02, 03, 05)."""

from typing import TypeVar

from msgspec.structs import replace

from skep.core.rejected import Rejected
from skep.model.container import Part
from skep.model.ids import NANOSECONDS
from skep.model.node import Node
from skep.model.swarm import (
    DEFAULT_SWARM_SPEC,
    CaConfig,
    Cluster,
    DispatcherConfig,
    EncryptionConfig,
    OrchestrationConfig,
    RaftConfig,
    SwarmSpec,
    TaskDefaults,
)

P = TypeVar("P", bound=Part)

#: A log driver that is sent here is not kept (recorded): SwarmKit has a default for tasks, and Docker's API never fills
#: it in. So a task's lines go where its service says, or else where its engine does.
_NO_TASK_DEFAULTS = TaskDefaults()

#: A certificate must outlive the time in which it is renewed, in nanoseconds.
CERT_EXPIRY_MIN = 3600 * NANOSECONDS


def check_swarm(spec: SwarmSpec, *, new: bool = False) -> None:
    """Reject a name other than the only one, a negative heartbeat, and certificates that live too short.

    `new` is the spec of `swarm init`, which answers the last two as errors of its own.
    """
    ca = spec.ca_config
    if ca is not None and (ca.signing_ca_key or ca.signing_ca_cert):
        # not the value: a key that is refused must not be found in an error either
        raise Rejected.unimplemented(
            "a root of one's own is not there yet: CAConfig.SigningCACert, CAConfig.SigningCAKey", bare=True
        )
    if spec.name not in ("", DEFAULT_SWARM_SPEC.name):
        raise Rejected.invalid(f'swarm spec must be named "{DEFAULT_SWARM_SPEC.name}"', bare=True)
    expiry = spec.ca_config.node_cert_expiry if spec.ca_config else 0
    if expiry and expiry < CERT_EXPIRY_MIN:
        raise _refused("minimum certificate expiry time is: 1h0m0s", new=new)
    if spec.dispatcher is not None and spec.dispatcher.heartbeat_period < 0:
        raise _refused("heartbeat time period cannot be a negative duration", new=new)


def stored_swarm(spec: SwarmSpec, rest: SwarmSpec = DEFAULT_SWARM_SPEC) -> SwarmSpec:
    """Return what `swarm init` stores: what was said, and `rest` for the rest: what was, or Swarm's defaults."""
    return SwarmSpec(
        name=DEFAULT_SWARM_SPEC.name,
        labels=spec.labels or rest.labels or {},
        orchestration=_filled(spec.orchestration, rest.orchestration),
        raft=_filled(spec.raft, rest.raft),
        dispatcher=_filled(spec.dispatcher, rest.dispatcher),
        ca_config=_filled(spec.ca_config, rest.ca_config),
        task_defaults=_NO_TASK_DEFAULTS,
        encryption_config=_filled(spec.encryption_config, rest.encryption_config),
    )


def is_locking(spec: SwarmSpec) -> bool:
    """Whether a manager that is started again waits to be unlocked."""
    return bool(spec.encryption_config and spec.encryption_config.auto_lock_managers)


def updated_swarm(spec: SwarmSpec) -> SwarmSpec:
    """Return what `swarm update` stores: what was said, and nothing (0) for the rest: it keeps and fills in no value.

    A heartbeat, retention limit, interval or expiry of 0 is shown as it is; who needs one takes the default then.
    """
    orchestration = spec.orchestration or OrchestrationConfig()
    raft = spec.raft or RaftConfig()
    return SwarmSpec(
        name=DEFAULT_SWARM_SPEC.name,
        labels=spec.labels or {},
        orchestration=replace(
            orchestration, task_history_retention_limit=orchestration.task_history_retention_limit or 0
        ),
        raft=replace(raft, keep_old_snapshots=raft.keep_old_snapshots or 0),
        dispatcher=spec.dispatcher or DispatcherConfig(),
        ca_config=spec.ca_config or CaConfig(),
        task_defaults=_NO_TASK_DEFAULTS,
        encryption_config=EncryptionConfig(
            auto_lock_managers=bool(spec.encryption_config and spec.encryption_config.auto_lock_managers)
        ),
    )


def needs_certificate(node: Node, cluster: Cluster) -> bool:
    """Whether a node still has a certificate of a root that is being replaced, as far as it said."""
    if cluster.rotation is None:
        return False
    said = node.description.tls_info
    if said is None:
        return node.certified
    new = cluster.rotation.root
    return (said.cert_issuer_subject, said.cert_issuer_public_key) != (new.issuer_subject, new.issuer_public_key)


def _filled(said: P | None, default: P | None) -> P | None:
    """Return the default with all that was said in its place: what differs from the value of a field left out."""
    if said is None or default is None:
        return said or default
    blank = type(said)()
    names = (name for name in said.__struct_fields__ if getattr(said, name) != getattr(blank, name))
    return replace(default, **{name: getattr(said, name) for name in names})


def _refused(message: str, *, new: bool) -> Rejected:
    if new:
        return Rejected.unknown(
            f"error updating cluster settings: rpc error: code = InvalidArgument desc = {message}", bare=True
        )
    return Rejected.invalid(message)
