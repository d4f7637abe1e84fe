"""The project's own sources, read and parsed once, for the tests of house rules."""

import ast
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[2]

#: Where modules live; the first two are shipped, and so are ruled more strictly.
SHIPPED = ("engine", "adapters")
OTHER = ("tests", "benchmarks", "docs")

#: Not ours: what other programs write.
GENERATED = ("_pb2.py", "_grpc.py")


class Source(Struct, frozen=True):
    """A file of ours."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def shown(self) -> str:
        """Its path as a person names it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def dotted(self) -> str:
        """Its name as it is imported; only sensible for shipped ones."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts[1:]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def shipped(self) -> bool:
        """Whether it is part of what users install."""
        return self.path.relative_to(ROOT).parts[0] in SHIPPED

    @property
    def pure(self) -> bool:
        """Whether it belongs to the core, which knows no outside."""
        return self.dotted.startswith(("skep.model", "skep.core"))


def _read(path: Path) -> Source:
    text = path.read_text()
    return Source(path, text, ast.parse(text, str(path)))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    """Every Python file of the project."""
    return [
        _read(path)
        for folder in (*SHIPPED, *OTHER)
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.endswith(GENERATED)
    ]


@pytest.fixture(scope="session")
def shipped(sources: list[Source]) -> list[Source]:
    """The files that users install."""
    return [source for source in sources if source.shipped]


@pytest.fixture(scope="session")
def pure(shipped: list[Source]) -> list[Source]:
    """The files of the core."""
    return [source for source in shipped if source.pure]
