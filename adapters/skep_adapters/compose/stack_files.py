"""`ComposeFiles`: stack files on disk become a stack. It changes nothing; a wrong file is refused as a whole."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
from skep.model.stack import StackSpec
from skep.ports.stack_files import StackFileError, StackRead

from skep_adapters.compose.interpolation import interpolated
from skep_adapters.compose.layering import layered
from skep_adapters.compose.notices import notices, refuse_others
from skep_adapters.compose.objects import configs_of, networks_of, secrets_of
from skep_adapters.compose.place import Left, Place
from skep_adapters.compose.properties import NEWEST, STACK_FILE
from skep_adapters.compose.services import networks_used, service_of
from skep_adapters.compose.variables import read_variables
from skep_adapters.compose.yaml_text import FILE_BYTES_MAX, load

_VERSION = re.compile(r"3(?:\.(?P<minor>[0-9]{1,2}))?")

#: A path that is whole already, here or on Windows.
_ABSOLUTE = re.compile(r"/|[a-zA-Z]:[\\/]|\\\\")

#: A secret holds 500 KB and a config 1,000 KB; what is larger is refused by the swarm, which says so.
DATA_BYTES_MAX = 1024 * 1024

#: So many files may one stack name, its own included.
FILES_MAX = 1000


class ComposeFiles:
    """A `StackFiles` of Compose files, versions 3.0 to 3.13."""

    async def read(
        self, files: Sequence[Path], *, name: str, env: Mapping[str, str], env_files: Sequence[Path] = ()
    ) -> StackRead:
        """Return the stack that the files make; what they name stands beside the first of them."""
        return await anyio.to_thread.run_sync(
            lambda: _Reading(files, name, env, env_files).read(), abandon_on_cancel=True
        )


class _Reading:
    """One stack on its way."""

    def __init__(self, files: Sequence[Path], name: str, env: Mapping[str, str], env_files: Sequence[Path]) -> None:
        if not files:
            raise StackFileError("no stack file was given")
        self._files = [Path(file).absolute() for file in files]
        self._name = name
        self._left = FILES_MAX
        self._env: dict[str, str] = {}
        for path in env_files:
            self._env |= read_variables(self._bytes(Path(path), Place(str(path)), FILE_BYTES_MAX), str(path), env)
        self._env |= env

    def read(self) -> StackRead:
        """Read all of it."""
        plain, file = [], dict[str, Any]()
        minors: list[int] = []
        for path in self._files:
            place = Place(path.name)
            raw = load(self._bytes(path, place, FILE_BYTES_MAX), path.name)
            minors.append(_minor(raw, place))
            if minors[-1] != minors[0]:
                place.at("version").refuse(f"is 3.{minors[-1]}, and that of {self._files[0].name} 3.{minors[0]}")
            plain.append(raw)
            file = self._layer(file, raw, Place(path.name, minor=minors[0], left=Left()))
        place = Place(", ".join(path.name for path in self._files), minor=minors[0])
        return StackRead(self._stack(file, place), notices(plain))

    def _layer(self, under: dict[str, Any], raw: dict[str, Any], place: Place) -> dict[str, Any]:
        refuse_others(raw, place)
        over = STACK_FILE(interpolated(raw, self._env, place), place)
        for name, service in over.get("services", {}).items():
            at = place.at("services").at(name)
            self._set_environment(service, at)
            self._set_paths(service, at)
        return layered(under, over) if under else over

    def _stack(self, file: dict[str, Any], place: Place) -> StackSpec:
        services = file.get("services", {})
        networks, external = networks_of(self._name, networks_used(services), file.get("networks", {}))
        return StackSpec(
            name=self._name,
            services=tuple(
                service_of(self._name, name, said, file, place.at("services").at(name))
                for name, said in sorted(services.items())
            ),
            networks=networks,
            external_networks=external,
            secrets=secrets_of(self._name, file.get("secrets", {}), place.at("secrets"), self._data),
            configs=configs_of(self._name, file.get("configs", {}), place.at("configs"), self._data),
        )

    def _set_environment(self, service: dict[str, Any], place: Place) -> None:
        """Put the variables of a service together: its files', then its own; an empty one is taken from outside."""
        found: dict[str, str | None] = {}
        for index, name in enumerate(service.get("env_file", ())):
            at = place.at("env_file").at(index)
            found |= self._filled(read_variables(self._bytes(self._beside(name), at, FILE_BYTES_MAX), name, self._env))
        found |= self._filled(service.get("environment", {}))
        if found:
            service["environment"] = found

    def _filled(self, variables: Mapping[str, str | None]) -> dict[str, str | None]:
        return {name: value or self._env.get(name, value) for name, value in variables.items()}

    def _set_paths(self, service: dict[str, Any], place: Place) -> None:
        """Make the paths of what is bound absolute: they are those of the machine that has the file."""
        for index, volume in enumerate(service.get("volumes", ())):
            if volume.get("type") != "bind":
                continue
            source = volume.get("source", "")
            if not source:
                place.at("volumes").at(index).refuse("needs a source, as every bind does")
            if source.startswith("~") and "HOME" in self._env:
                source = self._env["HOME"] + source[1:]
            if not _ABSOLUTE.match(source):
                volume["source"] = str(self._normal(self._beside(source)))
            else:
                volume["source"] = source

    def _beside(self, name: str) -> Path:
        return self._files[0].parent / name

    def _normal(self, path: Path) -> Path:
        """Return a path without `.` and `..`, whatever links there are."""
        parts: list[str] = []
        for part in path.parts:
            if part == ".." and len(parts) > 1:
                parts.pop()
            elif part != "..":
                parts.append(part)
        return Path(*parts)

    def _data(self, name: str, place: Place) -> bytes:
        return self._bytes(self._beside(name), place, DATA_BYTES_MAX)

    def _bytes(self, path: Path, place: Place, at_most: int) -> bytes:
        self._left -= 1
        if self._left < 0:
            place.refuse(f"names more than {FILES_MAX} files")
        try:
            with path.open("rb") as file:
                content = file.read(at_most + 1)
        except OSError as error:
            place.refuse(f"{path}: {error.strerror}")
        if len(content) > at_most:
            place.refuse(f"{path} is larger than {at_most} bytes")
        return content


def _minor(raw: Mapping[str, Any], place: Place) -> int:
    """Return the version of a file after its 3."""
    version = raw.get("version", "")
    if not isinstance(version, str):
        place.at("version").refuse_value(version, 'text such as "3.8"')
    found = _VERSION.fullmatch(version or f"3.{NEWEST}")
    if found is None or int(found["minor"] or 0) > NEWEST:
        place.at("version").refuse_value(version, f"3 or 3.0 to 3.{NEWEST}")
    return int(found["minor"]) if found["minor"] else NEWEST
