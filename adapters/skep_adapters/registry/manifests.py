"""What registries keep of an image: a manifest for one platform, or an index of manifests for several."""

import hashlib
from typing import Any

import msgspec
from skep.ports.registry import Platform, RegistryError

_DOCKER = "application/vnd.docker.distribution.manifest"
_OCI = "application/vnd.oci.image"

DOCKER_LIST = f"{_DOCKER}.list.v2+json"
DOCKER_MANIFEST = f"{_DOCKER}.v2+json"
OCI_INDEX = f"{_OCI}.index.v1+json"
OCI_MANIFEST = f"{_OCI}.manifest.v1+json"
_SIGNED_V1 = f"{_DOCKER}.v1+prettyjws"
_PLAIN_V1 = f"{_DOCKER}.v1+json"

INDEXES = (DOCKER_LIST, OCI_INDEX)
SINGLE = (DOCKER_MANIFEST, OCI_MANIFEST)
_FIRST = (_SIGNED_V1, _PLAIN_V1)

#: What is asked for, the newest kinds first: a registry gives an index only to who says that he can read one.
ACCEPT = ", ".join((*INDEXES, *SINGLE, *_FIRST))

#: An index may hold so many manifests.
_MANIFESTS_MAX = 1000


class _Descriptor(msgspec.Struct, frozen=True):
    digest: str = ""
    platform: dict[str, Any] | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest of any kind, as far as it is read here."""

    media_type: str = ""
    manifests: tuple[_Descriptor, ...] | None = None
    config: _Descriptor | None = None
    architecture: str = ""

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """What the manifest itself says that the image runs on."""
        if self.manifests is not None:
            return tuple(platform(one.platform or {}) for one in self.manifests)
        return (Platform(architecture=self.architecture, os="linux"),) if self.architecture else ()


def read(body: bytes, content_type: str) -> Manifest:
    """Read a manifest; its kind is what it says, or what it was sent as, or what it looks like.

    Raises:
        RegistryError: 500, it is none that is known.
    """
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RegistryError(500, f"the registry's manifest cannot be read: {error}") from None
    if len(manifest.manifests or ()) > _MANIFESTS_MAX:
        raise RegistryError(500, f"the registry's index holds more than {_MANIFESTS_MAX} manifests")
    sent = content_type.partition(";")[0].strip().lower()
    known = (*INDEXES, *SINGLE, *_FIRST)
    kind = next((one for one in (manifest.media_type, sent) if one in known), "")
    if not kind and (manifest.manifests is not None or manifest.config is not None):
        kind = OCI_INDEX if manifest.manifests is not None else OCI_MANIFEST
    if not kind:
        raise RegistryError(500, f"unsupported manifest format {(sent or 'without a content type')[:100]}")
    return msgspec.structs.replace(manifest, media_type=kind)


def platform(said: dict[str, Any]) -> Platform:
    """Read what an image runs on, out of an index or an image's configuration."""

    def text(name: str) -> str:
        value = said.get(name)
        return value if isinstance(value, str) else ""

    features = said.get("os.features")
    return Platform(
        architecture=text("architecture"),
        os=text("os"),
        os_version=text("os.version"),
        os_features=tuple(map(str, features)) if isinstance(features, list) else (),
        variant=text("variant"),
    )


def configured(body: bytes) -> Platform:
    """Read what an image runs on out of its configuration; nothing out of what is none."""
    try:
        said: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        said = None
    return platform(said if isinstance(said, dict) else {})


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of a body; empty for an algorithm that registries do not use."""
    if algorithm not in ("sha256", "sha512"):
        return ""
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
