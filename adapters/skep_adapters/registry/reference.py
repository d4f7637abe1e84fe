"""Names of images as people write them: `nginx`, `localhost:5000/web:1`, `ghcr.io/a/b@sha256:…`."""

import re

import msgspec
from skep.ports.registry import RegistryError

#: Where images are whose names begin with no registry, and where that is asked.
DEFAULT_DOMAIN = "docker.io"
DEFAULT_HOST = "registry-1.docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_NAME_CHARS_MAX = 255

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_ID = re.compile(r"[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True):
    """An image: the registry's domain, the repository, and which of its manifests (a tag or a digest)."""

    domain: str
    path: str
    which: str

    @property
    def host(self) -> str:
        """Where to ask, with a port if one was given."""
        return DEFAULT_HOST if self.domain == DEFAULT_DOMAIN else self.domain

    @property
    def digest(self) -> str:
        """The digest, if that was given."""
        return self.which if ":" in self.which else ""


def parse(image: str) -> Reference:
    """Read a name; without tag and digest it is the tag `latest`.

    Raises:
        RegistryError: 400, it is no name of an image; 500, it is an image's id, which no registry knows.
    """
    if _ID.fullmatch(image):
        raise RegistryError(500, "no manifest found for full image ID")
    name, _, digest = image.partition("@")
    if "@" in image and not is_digest(digest):
        raise _invalid()
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid()
    name = f"{head}{slash}{last}"
    if name != name.lower() and "/" not in name:
        raise RegistryError(400, "invalid reference format: repository name must be lowercase")
    domain, path = _split(name)
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise _invalid()
    if len(domain) + 1 + len(path) > _NAME_CHARS_MAX:
        raise RegistryError(400, f"repository name must not be more than {_NAME_CHARS_MAX} characters")
    return Reference(domain, path, digest or tag or "latest")


def is_digest(text: str) -> bool:
    """Whether a text is a digest."""
    return _DIGEST.fullmatch(text) is not None


def _split(name: str) -> tuple[str, str]:
    """Return domain and path: what comes first is a domain only if it looks like one."""
    first, slash, rest = name.partition("/")
    looks = bool(slash) and (bool(set(first) & set(".:[")) or first == "localhost" or first != first.lower())
    domain, path = (first, rest) if looks else (DEFAULT_DOMAIN, name)
    if domain in (DEFAULT_DOMAIN, _LEGACY_DOMAIN):
        return DEFAULT_DOMAIN, path if "/" in path else _OFFICIAL + path
    return domain, path


def _invalid() -> RegistryError:
    return RegistryError(400, "invalid reference format")
