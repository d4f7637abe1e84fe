"""The catalogue: which command an image's name stands for, since a process needs no image.

From a TOML file, or from a mapping in the program that embeds the engine:

    [images.web]
    command = ["python3", "-m", "http.server"]
    env = { PYTHONUNBUFFERED = "1" }
    dir = "/srv/www"

`entrypoint` and `command` are an image's ENTRYPOINT and CMD: a spec's Command replaces the first (and drops the
second), its Args replace the second. A name is looked up as it is, then without digest, then without tag.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

_KEYS = ("entrypoint", "command", "env", "dir", "user", "stop_signal")


class CatalogError(ValueError):
    """A catalogue cannot be used; the message names file, key and value."""


class Image(Struct, frozen=True):
    """What an image's name stands for; a field that is empty was not said."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    dir: str = ""
    user: str = ""
    stop_signal: str = ""


class Catalog:
    """Images by name. A bare sequence of words stands for an image with that command."""

    def __init__(self, images: Mapping[str, Image | Sequence[str]] | None = None) -> None:
        self._images = {
            name: said if isinstance(said, Image) else Image(command=_words("catalogue", f"images.{name}", said))
            for name, said in (images or {}).items()
        }

    @staticmethod
    def load(path: Path) -> "Catalog":
        """Return the catalogue that the TOML file `path` holds.

        Raises:
            CatalogError: it cannot be read, or something in it is not as it must be.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise CatalogError(f"catalogue {path}: {error.strerror}") from error
        except ValueError as error:
            raise CatalogError(f"catalogue {path}: {error}") from error
        try:
            said = tomllib.loads(text)
        except ValueError as error:
            why = "this is JSON, and it must be TOML, [images.NAME] tables" if _is_json(text) else str(error)
            raise CatalogError(f"catalogue {path}: {why}") from error
        for key in said:
            if key != "images":
                raise CatalogError(f"catalogue {path}: {key}: unknown key; a catalogue has [images.NAME] tables only")
        tables = said.get("images", {})
        if not isinstance(tables, dict):
            raise CatalogError(f"catalogue {path}: images = {tables!r}: must be tables, [images.NAME]")
        return Catalog({name: _image(str(path), f"images.{name}", table) for name, table in tables.items()})

    def find(self, name: str) -> Image | None:
        """Return the image of that name, or of the name without digest, or without digest and tag."""
        return next((self._images[known] for known in _familiar(name) if known in self._images), None)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._images)


def _is_json(text: str) -> bool:
    """Say whether somebody meant JSON, well-formed or not: no TOML file begins with a brace."""
    return text.lstrip().startswith("{")


def _familiar(name: str) -> Iterator[str]:
    yield name
    plain = name.partition("@")[0]
    yield plain
    folder, slash, last = plain.rpartition("/")
    yield folder + slash + last.partition(":")[0]


def _image(file: str, key: str, table: object) -> Image:
    if isinstance(table, list):
        return Image(command=_words(file, key, table))
    if not isinstance(table, dict):
        raise CatalogError(f"catalogue {file}: {key} = {table!r}: must be a table, or a list of words")
    for name in table:
        if name not in _KEYS:
            raise CatalogError(f"catalogue {file}: {key}.{name}: unknown key; known are {', '.join(_KEYS)}")
    image = Image(
        entrypoint=_words(file, f"{key}.entrypoint", table.get("entrypoint", ())),
        command=_words(file, f"{key}.command", table.get("command", ())),
        env=_variables(file, f"{key}.env", table.get("env", {})),
        dir=_word(file, f"{key}.dir", table.get("dir", "")),
        user=_word(file, f"{key}.user", table.get("user", "")),
        stop_signal=_word(file, f"{key}.stop_signal", table.get("stop_signal", "")),
    )
    if not image.entrypoint and not image.command:
        raise CatalogError(f"catalogue {file}: {key}: has neither entrypoint nor command, so there is nothing to run")
    return image


def _words(file: str, key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise CatalogError(f"catalogue {file}: {key} = {value!r}: must be a list of strings")
    return tuple(value)


def _word(file: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise CatalogError(f"catalogue {file}: {key} = {value!r}: must be a string")
    return value


def _variables(file: str, key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise CatalogError(f"catalogue {file}: {key} = {value!r}: must be a table of strings")
    return {name: _word(file, f"{key}.{name}", each) for name, each in value.items()}
