"""Volumes in their short form: `[SOURCE:]TARGET[:OPTIONS]`.

A source that looks like a path is bound, any other is a volume's name. A single letter before a colon is a drive of
Windows, and belongs to its path. Options are separated by commas; unknown ones mean nothing, as with Docker's client.
"""

import re
from typing import Any

from skep_adapters.compose.place import Place

_DRIVE = re.compile(r"[^\W\d_]:")
_SECTION = re.compile(r"[^\W\d_]:[^:]*|[^:]+")
_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def short_volume(value: str, place: Place) -> dict[str, Any]:
    """Return the volume that a short form means, in its long form."""
    wanted = "a volume such as data:/data or ./here:/there:ro"
    if not value:
        place.refuse_value(value, wanted)
    if len(value) < 3:  # noqa: PLR2004 - nothing so short has two parts
        return {"type": "volume", "target": value}
    sections = _sections(value)
    if sections is None or len(sections) > 3:  # noqa: PLR2004 - the three of the form
        place.refuse_value(value, wanted)
    if len(sections) == 1:
        return {"type": "volume", "target": sections[0]}
    source, target, *options = sections
    volume: dict[str, Any] = {"type": "bind" if _is_path(source) else "volume", "source": source, "target": target}
    for option in options[0].split(",") if options else ():
        if option in ("ro", "rw"):
            volume["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["volume"] = {"nocopy": True}
        elif option in _PROPAGATIONS:
            volume["bind"] = {"propagation": option}
    return volume


def _sections(value: str) -> list[str] | None:
    """Return what stands between colons; None where nothing does."""
    sections, at = [], 0
    while at <= len(value):
        found = _SECTION.match(value, at)
        if found is None:
            return None
        sections.append(found[0])
        at = found.end() + 1
    return sections


def _is_path(source: str) -> bool:
    return source[0] in "./~" or source.startswith("\\\\") or _DRIVE.match(source) is not None
