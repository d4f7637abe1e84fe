"""House rules for modules: what they are called, how long they are, what they say of themselves, who needs them."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.conftest import Source

LINES_MAX = 400

#: Words that say nothing about what is in a module.
EMPTY_WORDS = frozenset({"utils", "util", "common", "base", "manager", "helpers", "helper", "misc"})

NOQA = re.compile(r"#\s*noqa\b")
NOQA_WITH_REASON = re.compile(r"# noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*( - |  # )\S")
IGNORE = re.compile(r"#\s*type:\s*ignore\b")
IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\]\s+# \S")


def _comments(source: Source) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _imported(source: Source) -> Iterator[str]:
    """Yield what a file imports, as dotted names; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _strings(source: Source) -> Iterator[str]:
    """Yield the strings of a file that are no docstrings."""
    said = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_every_module_has_a_docstring(shipped: list[Source]) -> None:
    silent = [source.shown for source in shipped if not ast.get_docstring(source.tree)]
    assert not silent, "\n".join(silent)


def test_no_module_is_longer_than_400_lines(shipped: list[Source]) -> None:
    lengths = {source.shown: source.text.count("\n") for source in shipped}
    long = [f"{name} {lines}" for name, lines in lengths.items() if lines > LINES_MAX]
    assert not long, "\n".join(long)


def test_names_of_modules_and_folders_say_something(sources: list[Source], root: Path) -> None:
    empty = [
        source.shown
        for source in sources
        for part in source.path.relative_to(root).with_suffix("").parts
        if EMPTY_WORDS & set(part.split("_"))
    ]
    assert not empty, "\n".join(empty)


def test_nothing_imports_the_source_root(sources: list[Source]) -> None:
    roots = ("engine", "adapters")
    found = [source.shown for source in sources for name in _imported(source) if name.split(".")[0] in roots]
    assert not found, "\n".join(found)


def test_every_ignore_carries_its_reason(sources: list[Source]) -> None:
    bare = [
        f"{source.shown}:{line} {comment}"
        for source in sources
        for line, comment in _comments(source)
        if (NOQA.search(comment) and not NOQA_WITH_REASON.search(comment))
        or (IGNORE.search(comment) and not IGNORE_WITH_REASON.search(comment))
    ]
    assert not bare, "\n".join(bare)


def test_no_exception_is_caught_whole_and_only_noted(shipped: list[Source]) -> None:
    swallowed = [
        f"{source.shown}:{node.lineno}"
        for source in shipped
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and all(map(_only_notes, node.body))
    ]
    assert not swallowed, "\n".join(swallowed)


def _catches_all(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in kinds)


def _only_notes(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    if not isinstance(statement.value, ast.Call):
        return True
    function = statement.value.func
    return isinstance(function, ast.Attribute) and function.attr in (
        "debug", "info", "warning", "error", "exception", "critical", "log",
    )  # fmt: skip


def test_every_module_is_needed_by_another(sources: list[Source], root: Path) -> None:
    """By an import, or by its dotted name in a string (child processes are started so), or by pyproject.toml."""
    needed = {name for source in sources for name in _imported(source)}
    strings = [string for source in sources for string in _strings(source)]
    project = (root / "pyproject.toml").read_text()
    dead = [
        source.shown
        for source in sources
        if source.shipped
        and source.path.name not in ("__init__.py", "__main__.py")
        and source.dotted not in needed
        and source.dotted not in project
        and not any(source.dotted in string for string in strings)
    ]
    assert not dead, "\n".join(dead)
