"""What a registry wants of who asks: the challenges of `WWW-Authenticate` (RFC 9110, section 11.6.1)."""

import re
from collections.abc import Iterable

import msgspec

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_SCHEME = re.compile(rf"\s*({_WORD})(?:\s+|$)")
_PARAMETER = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*(?:,|$)?')


class Challenge(msgspec.Struct, frozen=True):
    """A scheme in lower case, and what it says."""

    scheme: str
    parameters: dict[str, str]


def challenges(fields: Iterable[str]) -> list[Challenge]:
    """Read challenges; what cannot be read ends the field."""
    return [one for field in fields for one in _read(field)]


def _read(field: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while scheme := _SCHEME.match(field, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        while one := _PARAMETER.match(field, at):
            at = one.end()
            quoted = re.sub(r"\\(.)", r"\1", one[2]) if one[2] is not None else one[3]
            parameters[one[1].lower()] = quoted
        found.append(Challenge(scheme[1].lower(), parameters))
    return found
