"""Rules of a container's spec.

Two parts of a swarm look at it, one after the other: the Engine API's own conversion, answered bare
(`check_words`), then Swarm itself (`check_references`, `check_container`).
"""

from collections.abc import Iterable

from skep.core.rejected import Rejected
from skep.core.rules.image import check_image
from skep.core.rules.template import check_template
from skep.model.container import ConfigReference, ContainerSpec, CredentialSpec, HealthConfig, Mount, SecretReference

#: The shortest time that a health check may take or wait, in nanoseconds.
HEALTH_DURATION_MIN = 1_000_000

_MOUNT_TYPES = ("", "bind", "volume", "tmpfs", "npipe")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_PROPAGATIONS = ("", "rprivate", "private", "rshared", "shared", "rslave", "slave")


def check_words(container: ContainerSpec) -> None:
    """Reject words that the Engine API cannot translate."""
    if container.privileges is not None and container.privileges.credential_spec is not None:
        _check_credentials(container.privileges.credential_spec)
    for config in container.configs:
        if (config.file is None) == (config.runtime is None):
            both = config.file is not None
            said = "cannot specify both File and Runtime" if both else "either File or Runtime should be set"
            raise Rejected.invalid(f"invalid Config: {said}", bare=True)
    for mount in container.mounts:
        if mount.type.lower() not in _MOUNT_TYPES:
            raise Rejected.invalid(f'invalid MountType: "{mount.type}"', bare=True)
        propagation = mount.bind_options.propagation if mount.bind_options else ""
        if propagation.lower() not in _PROPAGATIONS:
            raise Rejected.invalid(f'invalid MountPropagation: "{propagation}"', bare=True)


def check_references(container: ContainerSpec) -> None:
    """Reject references to secrets and configs that name nothing or share a target; that they exist is not asked."""
    _check_targets("secret", [(r.secret_id, r.secret_name, r) for r in container.secrets])
    _check_targets("config", [(r.config_id, r.config_name, r) for r in container.configs])


def check_container(container: ContainerSpec) -> None:
    """Reject what Swarm itself refuses of a container."""
    for entry in container.env:
        _, said, value = entry.partition("=")
        if said:
            check_template(value, f"expanding env failed: expanding env {_quoted(entry)}")
    for mount in container.mounts:
        for part, text in (("source", mount.source), ("target", mount.target)):
            check_template(text, f"expanding mounts failed: expanding mount {part} {_quoted(text)}")
    check_template(container.hostname, "expanding hostname failed")
    check_image(container.image)
    _check_mounts(container.mounts)
    if container.healthcheck is not None:
        _check_health(container.healthcheck)


def _check_credentials(credentials: CredentialSpec) -> None:
    said = [f'"{name}"' for name in ("config", "file", "registry") if getattr(credentials, name)]
    if len(said) == 1:
        return
    if not said:
        raise Rejected.invalid(
            'invalid CredentialSpec: must either provide "file", "registry", or "config" for credential spec', bare=True
        )
    comma = "," if len(said) > 2 else ""  # noqa: PLR2004 - two need no comma
    both = f"{', '.join(said[:-1])}{comma} and {said[-1]}"
    raise Rejected.invalid(f"invalid CredentialSpec: cannot specify both {both} credential specs", bare=True)


def _check_targets(kind: str, references: Iterable[tuple[str, str, SecretReference | ConfigReference]]) -> None:
    holders: dict[str, str] = {}
    for object_id, name, reference in references:
        if not object_id or not name:
            raise Rejected.invalid(f"malformed {kind} reference")
        if reference.file is None:
            if isinstance(reference, ConfigReference) and reference.runtime is not None:
                continue
            raise Rejected.invalid(f"malformed {kind} reference, no target provided")
        target = reference.file.name
        if not target:
            raise Rejected.invalid(f"malformed file {kind} reference, invalid target file name provided")
        if target in holders:
            raise Rejected.invalid(
                f"{kind} references '{holders[target]}' and '{name}' have a conflicting target: '{target}'"
            )
        holders[target] = name


def _check_mounts(mounts: Iterable[Mount]) -> None:
    targets: dict[str, None] = {}
    for mount in mounts:
        if mount.target in targets:
            raise Rejected.invalid(f"ContainerSpec: duplicate mount point: {mount.target}")
        targets[mount.target] = None


def _check_health(health: HealthConfig) -> None:
    durations = (("Interval", health.interval), ("Timeout", health.timeout), ("StartPeriod", health.start_period))
    for name, duration in durations:
        if duration and duration < HEALTH_DURATION_MIN:
            raise Rejected.invalid(f"ContainerSpec: {name} in HealthConfig cannot be less than 1ms")
    if health.retries < 0:
        raise Rejected.invalid("ContainerSpec: Retries in HealthConfig cannot be negative")


def _quoted(text: str) -> str:
    """Return `text` as Go's %q writes it, control characters aside."""
    return f'"{text.translate(_ESCAPES)}"'
