"""References of images: `[domain[:port]/]path[:tag][@digest]`, as the distribution project spells them.

The first part is a domain if it has a dot or a colon or is `localhost`; all of a path is lower case. No expression here
goes back over what it matched, however long the text is.
"""

import re

from skep.core.rejected import Rejected

#: The longest name without tag and digest.
NAME_MAX = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
#: Digests are checked by algorithm; these are the registered ones, with the length of their hex.
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
#: What a name may begin with and is not shown with.
_SILENT = ("docker.io/", "index.docker.io/")

#: A bare id is no name.
_ID = re.compile(r"[a-f0-9]{64}")


def check_image(reference: str) -> None:
    """Reject an image that is not said, or cannot be one."""
    if not reference:
        raise Rejected.invalid("ContainerSpec: image reference must be provided")
    if not _is_reference(reference):
        raise Rejected.invalid(f'ContainerSpec: "{reference}" is not a valid repository/tag')


def _is_reference(reference: str) -> bool:
    if _ID.fullmatch(reference):
        return False
    rest, at, digest = reference.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return False
    domain, slash, path = rest.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost"):
        domain, path = "", rest
    name, colon, tag = path.partition(":")
    return (
        (not domain or _DOMAIN.fullmatch(domain) is not None)
        and all(_PATH_PART.fullmatch(part) for part in name.split("/"))
        and (not colon or _TAG.fullmatch(tag) is not None)
        and len(domain) + len(name) < NAME_MAX
    )


def familiar(reference: str) -> str:
    """Return an image as Docker's clients name it: with a tag or a digest, without what every name may begin with."""
    if _ID.fullmatch(reference) or not _is_reference(reference):
        return reference
    for domain in _SILENT:
        if reference.startswith(domain):
            reference = reference.removeprefix(domain).removeprefix("library/")
    return reference if "@" in reference or ":" in reference.rpartition("/")[2] else f"{reference}:latest"
