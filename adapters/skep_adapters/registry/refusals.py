"""How a registry says no, and how Docker tells it: the status and words of the code that the registry gave."""

from http import HTTPStatus
from typing import Any

import msgspec
from skep.ports.registry import RegistryError

#: The statuses of codes, as the registry's API defines them; a code that is not listed is 500.
_STATUS = {
    "UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
    "DENIED": HTTPStatus.FORBIDDEN,
    "MANIFEST_UNKNOWN": HTTPStatus.NOT_FOUND,
    "NAME_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BLOB_UNKNOWN": HTTPStatus.NOT_FOUND,
    "NAME_INVALID": HTTPStatus.BAD_REQUEST,
    "TAG_INVALID": HTTPStatus.BAD_REQUEST,
    "DIGEST_INVALID": HTTPStatus.BAD_REQUEST,
    "MANIFEST_INVALID": HTTPStatus.BAD_REQUEST,
    "UNSUPPORTED": HTTPStatus.METHOD_NOT_ALLOWED,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "TOOMANYREQUESTS": HTTPStatus.TOO_MANY_REQUESTS,
}

#: What registries say that give no code.
_CODES = {
    HTTPStatus.UNAUTHORIZED: ("UNAUTHORIZED", "authentication required"),
    HTTPStatus.FORBIDDEN: ("DENIED", "requested access to the resource is denied"),
    HTTPStatus.NOT_FOUND: ("MANIFEST_UNKNOWN", "manifest unknown"),
    HTTPStatus.TOO_MANY_REQUESTS: ("TOOMANYREQUESTS", "too many requests"),
}

#: So much is told of what a registry says.
_TOLD_CHARS_MAX = 1000


def refusal(status: int, body: bytes) -> RegistryError:
    """Return the error of an answer that is none."""
    errors = _errors(body)
    if not errors and status in _CODES:
        errors = [_CODES[HTTPStatus(status)]]
    if not errors:
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        return RegistryError(500, f"received unexpected HTTP status: {status} {phrase}".rstrip())
    told = [f"{code.lower().replace('_', ' ')}: {message}"[:_TOLD_CHARS_MAX] for code, message in errors]
    text = told[0] if len(told) == 1 else "errors:\n" + "".join(f"{one}\n" for one in told)
    return RegistryError(int(_STATUS.get(errors[0][0], HTTPStatus.INTERNAL_SERVER_ERROR)), text)


def _errors(body: bytes) -> list[tuple[str, str]]:
    """Return codes and messages that an answer holds."""
    try:
        said: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return []
    listed = said.get("errors") if isinstance(said, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [(str(one.get("code") or "UNKNOWN"), str(one.get("message") or "unknown error")) for one in found]
