"""Volumes: directories that are kept for tasks and outlive them, where no container engine keeps any."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from skep.model.ids import Instant

#: The label of volumes that nobody named (Docker's).
ANONYMOUS = "com.docker.volume.anonymous"


class Volume(Struct, frozen=True):
    """A volume, and who uses it: ids of containers, sorted."""

    name: str
    created_at: Instant
    mountpoint: str
    labels: dict[str, str]
    users: tuple[str, ...] = ()


class VolumeRefused(Exception):
    """There can be no such volume; the message is Docker's."""


class NoSuchVolume(Exception):
    """There is no volume of that name."""


class VolumeInUse(Exception):
    """A task uses it; the message is Docker's."""


class Volumes(Protocol):
    """The volumes of one machine. A method may be cancelled: it is then done, or not."""

    async def create(self, name: str, labels: Mapping[str, str]) -> Volume:
        """Return the volume of that name, made if there is none; one without a name is new and anonymous.

        Raises:
            VolumeRefused: it is no name for one, or there are too many.
        """
        ...

    async def find(self, name: str) -> Volume:
        """Return the volume of that name.

        Raises:
            NoSuchVolume: there is none.
        """
        ...

    async def all(self) -> Sequence[Volume]:
        """Return all, by name."""
        ...

    async def size(self, name: str) -> int:
        """Return how many bytes a volume takes on the disk; 0 if there is none."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a volume and all in it.

        Raises:
            NoSuchVolume: there is none.
            VolumeInUse: a task uses it.
        """
        ...
