"""Where a value stands: the file, and the path of keys to it. What is wrong with a value is said there."""

from typing import Any, NamedTuple, NoReturn

from skep.ports.stack_files import StackFileError

#: A value is shown up to here.
SHOWN_CHARACTERS = 80


class Place(NamedTuple):
    """A place in a file of a version 3.`minor`."""

    file: str
    path: tuple[str, ...] = ()
    minor: int = 0

    def at(self, key: str | int) -> "Place":
        """Return the place of a part."""
        return self._replace(path=(*self.path, f"[{key}]" if isinstance(key, int) else key))

    @property
    def shown(self) -> str:
        """The path as a person writes it: `services.web.ports[0]`."""
        return ".".join(self.path).replace(".[", "[")

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
