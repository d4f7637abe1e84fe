"""Secrets, configs, and the sealed form in which what is secret is kept."""

from msgspec import Struct

from skep.model.container import Driver, Part
from skep.model.ids import ConfigId, Instant, Position, SecretId


class Sealed(Struct, frozen=True):
    """Something secret: ciphertext, the key that opens it, and an HMAC under that key that tells equal contents.

    `key_id` is a name in the `Keyring`; when that key is destroyed, the content is gone.
    """

    key_id: str
    ciphertext: bytes
    mac: bytes


class SecretSpec(Part, frozen=True):
    """What a person says of a secret, without its data."""

    name: str = ""
    labels: dict[str, str] | None = None
    driver: Driver | None = None
    templating: Driver | None = None


class ConfigSpec(Part, frozen=True):
    """A config: `data` is plain, base64 in JSON."""

    name: str = ""
    labels: dict[str, str] | None = None
    data: bytes = b""
    templating: Driver | None = None


class Secret(Struct, frozen=True, kw_only=True):
    """A secret as the swarm keeps it."""

    id: SecretId
    spec: SecretSpec
    sealed: Sealed | None
    version: Position
    written: Position
    created_at: Instant
    updated_at: Instant


class Config(Struct, frozen=True, kw_only=True):
    """A config as the swarm keeps it."""

    id: ConfigId
    spec: ConfigSpec
    version: Position
    written: Position
    created_at: Instant
    updated_at: Instant
