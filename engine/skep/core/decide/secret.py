"""Decisions about secrets and configs."""

from msgspec.structs import replace

from skep.core.commands import (
    CreateConfig,
    CreateSecret,
    RemoveConfig,
    RemoveSecret,
    UpdateConfigObject,
    UpdateSecret,
)
from skep.core.decide.versions import check_version
from skep.core.events import (
    ConfigCreated,
    ConfigRemoved,
    ConfigUpdated,
    Event,
    SecretCreated,
    SecretRemoved,
    SecretUpdated,
)
from skep.core.indexes import Ordered
from skep.core.rejected import Code, Rejected
from skep.core.rules.secret import check_config, check_secret
from skep.core.state import ClusterState
from skep.model.ids import ConfigId, SecretId, ServiceId
from skep.model.secret import Config, Secret

ONLY_LABELS = "only updates to Labels are allowed"


def create_secret(state: ClusterState, command: CreateSecret) -> tuple[Event, ...]:
    """Begin a secret under a name that is free."""
    check_secret(command.spec, command.size)
    spec = replace(command.spec, labels=command.spec.labels or {})
    if spec.name in state.secret_names:
        raise Rejected(Code.ALREADY_EXISTS, f"secret {spec.name} already exists")
    return (SecretCreated(command.secret_id, spec, command.sealed),)


def update_secret(state: ClusterState, command: UpdateSecret) -> tuple[Event, ...]:
    """Change a secret's labels, and nothing else."""
    secret = _secret(state, command.secret_id)
    same_data = not command.mac or (secret.sealed is not None and secret.sealed.mac == command.mac)
    if command.spec.name not in ("", secret.spec.name) or not same_data:
        raise Rejected.invalid(ONLY_LABELS)
    check_version(secret, command.version)  # after what may never be (recorded)
    return (SecretUpdated(secret.id, replace(secret.spec, labels=command.spec.labels or {})),)


def remove_secret(state: ClusterState, command: RemoveSecret) -> tuple[Event, ...]:
    """End a secret that no service uses."""
    secret = _secret(state, command.secret_id)
    _check_unused(state, "secret", secret.spec.name, state.secret_users.get(secret.id, {}))
    return (SecretRemoved(secret.id),)


def create_config(state: ClusterState, command: CreateConfig) -> tuple[Event, ...]:
    """Begin a config under a name that is free."""
    check_config(command.spec)
    spec = replace(command.spec, labels=command.spec.labels or {})
    if spec.name in state.config_names:
        raise Rejected(Code.ALREADY_EXISTS, f"config {spec.name} already exists")
    return (ConfigCreated(command.config_id, spec),)


def update_config(state: ClusterState, command: UpdateConfigObject) -> tuple[Event, ...]:
    """Change a config's labels, and nothing else."""
    config = _config(state, command.config_id)
    same_data = not command.spec.data or command.spec.data == config.spec.data
    if command.spec.name not in ("", config.spec.name) or not same_data:
        raise Rejected.invalid(ONLY_LABELS)
    check_version(config, command.version)
    return (ConfigUpdated(config.id, replace(config.spec, labels=command.spec.labels or {})),)


def remove_config(state: ClusterState, command: RemoveConfig) -> tuple[Event, ...]:
    """End a config that no service uses."""
    config = _config(state, command.config_id)
    _check_unused(state, "config", config.spec.name, state.config_users.get(config.id, {}))
    return (ConfigRemoved(config.id),)


def _check_unused(state: ClusterState, kind: str, name: str, users: Ordered[ServiceId]) -> None:
    if users:
        services = ", ".join(state.services[i].spec.name for i in users)
        plural = "services" if len(users) > 1 else "service"
        raise Rejected.invalid(f"{kind} '{name}' is in use by the following {plural}: {services}")


def _secret(state: ClusterState, secret_id: SecretId) -> Secret:
    secret = state.secrets.get(secret_id)
    if secret is None:
        raise Rejected.not_found("secret", secret_id)
    return secret


def _config(state: ClusterState, config_id: ConfigId) -> Config:
    config = state.configs.get(config_id)
    if config is None:
        raise Rejected.not_found("config", config_id)
    return config
