"""Stack files: whoever reads what people write of a stack."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from skep.model.stack import StackSpec


class StackFileError(Exception):
    """A stack file cannot be used; the message names the file, the place in it, and the value."""


class StackRead(Struct, frozen=True):
    """A stack as its files have it, and a sentence for each property of theirs that has no effect."""

    stack: StackSpec
    warnings: tuple[str, ...] = ()


class StackFiles(Protocol):
    """Whoever reads stack files."""

    async def read(
        self, files: Sequence[Path], *, name: str, env: Mapping[str, str], env_files: Sequence[Path] = ()
    ) -> StackRead:
        """Return the stack `name` that the files make, each over those before it.

        Variables in them are those of `env`, and below it those of `env_files`, the later over the earlier. What the
        files name is read as well, beside the first of them. Nothing is changed. Bounded in size. Safe to cancel.

        Raises:
            StackFileError: one of them cannot be read, or is wrong.
        """
        ...
