"""What things of a stack are called, by its name and theirs unless a file says another, and labels they bear."""

from collections.abc import Mapping
from typing import Any

from skep.model.stack import NAMESPACE_LABEL


def scoped(stack: str, name: str, said: Mapping[str, Any] | None = None) -> str:
    """Return the full name of a stack's thing; `said` is what the file says of it, which may be a name of its own."""
    own = (said or {}).get("name") or (external_name(said, name) if said and is_external(said) else "")
    return own or f"{stack}_{name}"


def is_external(said: Mapping[str, Any]) -> bool:
    """Whether a thing is to be there already, and is none of the stack's."""
    return bool(said.get("external", {}).get("is"))


def external_name(said: Mapping[str, Any], name: str) -> str:
    """Return what a thing that is external is called."""
    return str(said.get("name") or said["external"].get("name") or name)


def labelled(stack: str, labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels with the stack's own."""
    return {**(labels or {}), NAMESPACE_LABEL: stack}
