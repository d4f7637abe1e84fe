"""Registries of images: what an image that a person named is, so that every node runs the same one."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Platform(msgspec.Struct, frozen=True):
    """What an image runs on; a field that is empty was not said."""

    architecture: str = ""
    os: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    variant: str = ""


class ImageFound(msgspec.Struct, frozen=True):
    """An image, or an index of images. `size` is that of its manifest, in bytes."""

    media_type: str
    digest: str
    size: int
    platforms: tuple[Platform, ...] = ()


class RegistryError(Exception):
    """An image was not found out about; `status` says how, as HTTP does. The message holds no credentials."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Registry(Protocol):
    """Whoever asks registries."""

    async def look_up(self, image: str, credentials: Mapping[str, str]) -> ImageFound:
        """Return what `image` is: a name with a tag, a digest, or neither, as people write it.

        `credentials` are what clients send for an image, by Docker's names: username, password, auth, identitytoken,
        registrytoken. They go to the image's registry and to the server of tokens that it names, and nowhere else.
        Bounded in time. Safe to cancel.

        Raises:
            RegistryError: 400 for what is no name of an image; else as the registry said, 500 if nobody answered.
        """
        ...
