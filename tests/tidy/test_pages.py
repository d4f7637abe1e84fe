"""The pages that people read: generated tables are current, links lead somewhere, fragments have their names."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)(?P<target>[^)#]+)(#[^)]*)?\)")
FRAGMENT = re.compile(r"\+[a-z0-9-]+\.(added|changed|fixed|removed)\.md")


def _generator(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", root / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pages(root: Path) -> list[Path]:
    return [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "changelog.d").glob("*.md")]


def test_the_tables_of_the_vocabulary_are_current(root: Path) -> None:
    generator = _generator(root)
    page = generator.PAGE.read_text()
    assert page == generator.regenerated(page), "run `make tables`"


def test_every_table_is_shown(root: Path) -> None:
    generator = _generator(root)
    assert {place["name"] for place in generator.PLACE.finditer(generator.PAGE.read_text())} == set(generator.TABLES)


def test_every_link_between_pages_leads_somewhere(root: Path) -> None:
    broken = [
        f"{page.relative_to(root)}: {link['target']}"
        for page in _pages(root)
        for link in LINK.finditer(page.read_text())
        if not (page.parent / link["target"]).exists()
    ]
    assert not broken, "\n".join(broken)


def test_every_decision_is_numbered_and_says_context_decision_and_consequences(root: Path) -> None:
    pages = sorted((root / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        headings = [line for line in page.read_text().splitlines() if line.startswith("## ")]
        assert headings == ["## Context", "## Decision", "## Consequences"], page.name


def test_fragments_of_the_changelog_have_their_names(root: Path) -> None:
    names = [page.name for page in (root / "changelog.d").iterdir() if page.name != "README.md"]
    assert [name for name in names if not FRAGMENT.fullmatch(name)] == []
