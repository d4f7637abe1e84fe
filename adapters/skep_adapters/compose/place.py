"""Where a value stands: the file, and the path of keys to it. What is wrong with a value is said there."""

from typing import Any, NamedTuple, NoReturn

from skep.ports.stack_files import StackFileError

#: What short forms and variables of one file may be written out to. Each of them is bounded, and aliases repeat them.
PORTS_MAX = 200_000
CHARACTERS_MAX = 16 * 1024 * 1024

#: A value is shown up to here.
SHOWN_CHARACTERS = 80


class Left:
    """What may still be written out of one file."""

    def __init__(self) -> None:
        self.ports = PORTS_MAX
        self.characters = CHARACTERS_MAX


class Place(NamedTuple):
    """A place in a file of a version 3.`minor`; `left` is shared by all of the file, None where nothing is bounded."""

    file: str
    path: tuple[str, ...] = ()
    minor: int = 0
    left: Left | None = None

    def at(self, key: str | int) -> "Place":
        """Return the place of a part."""
        return self._replace(path=(*self.path, f"[{key}]" if isinstance(key, int) else key))

    @property
    def shown(self) -> str:
        """The path as a person writes it: `services.web.ports[0]`."""
        return ".".join(self.path).replace(".[", "[")

    def write_out(self, *, ports: int = 0, characters: int = 0) -> None:
        """Count what is about to be written out.

        Raises:
            StackFileError: it is more than the file may have.
        """
        if self.left is None:
            return
        self.left.ports -= ports
        self.left.characters -= characters
        if self.left.ports < 0:
            self.refuse(f"makes more than {PORTS_MAX} ports of the file")
        if self.left.characters < 0:
            self.refuse(f"makes more than {CHARACTERS_MAX} characters of the file's variables")

    def refuse(self, what: str) -> NoReturn:
        """Refuse the file for what stands here."""
        where = f"{self.shown}: " if self.path else ""
        raise StackFileError(f"{self.file}: {where}{what}")

    def refuse_value(self, value: Any, wanted: str) -> NoReturn:
        """Refuse a value that is not what is wanted here."""
        self.refuse(f"must be {wanted}, not {shown(value)}")


def shown(value: Any) -> str:
    """Return a value as an error names it, cut where it is long."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
