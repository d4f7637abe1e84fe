"""Stacks: services and what they need, made together and told apart by a label, as Docker's client does."""

from msgspec import Struct

from skep.model.network import NetworkSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ServiceSpec

#: The label by which everything of a stack is known, and the one that says an image as its file has it.
NAMESPACE_LABEL = "com.docker.stack.namespace"
IMAGE_LABEL = "com.docker.stack.image"


class StackSecret(Struct, frozen=True):
    """A secret of a stack, with its data in plain."""

    spec: SecretSpec = SecretSpec()
    data: bytes = b""

    def __repr__(self) -> str:
        """Hide the data."""
        return f"StackSecret(name={self.spec.name!r})"


class StackSpec(Struct, frozen=True, omit_defaults=True):
    """What a person wants of a stack. Its parts bear their full names and the stack's labels.

    Services name their networks, secrets and configs; ids are found when it is deployed. `external_networks` must be
    there already.
    """

    name: str = ""
    services: tuple[ServiceSpec, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    external_networks: tuple[str, ...] = ()
    secrets: tuple[StackSecret, ...] = ()
    configs: tuple[ConfigSpec, ...] = ()


def stack_of(labels: dict[str, str] | None) -> str:
    """Return the stack that labels name; empty if none."""
    return (labels or {}).get(NAMESPACE_LABEL, "")
