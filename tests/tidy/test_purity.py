"""The core is sans-IO: no clock, no randomness, no waiting, no logging, and no order that a hash seed decides."""

import ast
from collections.abc import Iterator

from tests.tidy.conftest import Source

#: What gives the core something that its caller did not.
OUTSIDE = frozenset({
    "aiosqlite", "anyio", "asyncio", "concurrent", "contextvars", "datetime", "io", "logging", "multiprocessing", "os",
    "pathlib", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "structlog", "subprocess",
    "sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings",
})  # fmt: skip

#: Built-in functions that do the same. `hash` differs from one process to the next.
OUTSIDE_CALLS = frozenset({"open", "print", "input", "hash", "exec", "eval", "__import__"})

#: What returns its argument's members in their order, or picks one by it.
ORDERED_BY = frozenset(
    {"list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter", "chain", "islice", "dict"}
)


def test_the_core_imports_nothing_from_outside(pure: list[Source]) -> None:
    found = [
        f"{source.shown}:{node.lineno} {name}"
        for source in pure
        for node in ast.walk(source.tree)
        for name in _roots(node)
        if name in OUTSIDE
    ]
    assert not found, "\n".join(found)


def test_the_core_calls_nothing_from_outside(pure: list[Source]) -> None:
    found = [
        f"{source.shown}:{node.lineno} {node.func.id}"
        for source in pure
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OUTSIDE_CALLS
    ]
    assert not found, "\n".join(found)


def test_the_core_never_waits(pure: list[Source]) -> None:
    waiting = ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await
    found = [
        f"{source.shown}:{node.lineno}"
        for source in pure
        for node in ast.walk(source.tree)
        if isinstance(node, waiting)
    ]
    assert not found, "\n".join(found)


def test_the_core_never_iterates_a_set(pure: list[Source]) -> None:
    constants = {name for source in pure for name in _set_names(source.tree.body)}
    found = []
    for source in pure:
        for scope in _scopes(source.tree):
            names = constants | set(_set_names(list(_inside(scope))))
            found += [
                f"{source.shown}:{node.lineno} {ast.unparse(node)}"
                for node in _iterated(scope)
                if _is_set(node) or (isinstance(node, ast.Name) and node.id in names)
            ]
    assert not found, "\n".join(sorted(set(found)))


def _roots(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module.split(".")[0]


def _is_set(node: ast.AST | None) -> bool:
    """Whether an expression is seen to be a set, without knowing any types."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return _is_set(left) or _is_set(right)
    return False


def _set_names(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=value) if _is_set(value):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                if _is_set(value) or ast.unparse(annotation).startswith(("set[", "frozenset[", "Set[", "AbstractSet[")):
                    yield name
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                if ast.unparse(annotation).startswith(("set[", "frozenset[", "Set[", "AbstractSet[")):
                    yield name


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda))


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of functions within it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from _inside(child)


def _iterated(scope: ast.AST) -> Iterator[ast.expr]:
    """Yield every expression whose order of members decides something."""
    for node in _inside(scope):
        match node:
            case ast.For(iter=expression) | ast.Starred(value=expression):
                yield expression
            case (
                ast.ListComp(generators=generators)
                | ast.DictComp(generators=generators)
                | ast.GeneratorExp(generators=generators)
            ):
                yield from (generator.iter for generator in generators)
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in ORDERED_BY:
                yield from arguments
            case ast.Call(func=ast.Attribute(attr="join" | "extend" | "fromkeys"), args=arguments):
                yield from arguments
            case ast.Call(func=ast.Attribute(attr="pop", value=expression), args=[]):
                yield expression
