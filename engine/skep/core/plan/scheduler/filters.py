"""Filters: which nodes a task may go to, and in which words a task is told that it may go to none.

They are asked in this order, and a node counts for the first that refuses it (SwarmKit's pipeline; FACTS, chapter 3).
What is asked of a node itself is a test; what tasks on it hold is asked by `skep.core.plan.scheduler.view`.
"""

import enum
from collections.abc import Callable, Sequence

from skep.core.constraints import matcher, parse
from skep.core.needs import ENGINE_LABEL, NODE_LABEL, Needs
from skep.core.rejected import Rejected
from skep.model.node import EnginePlugin, Node
from skep.model.service import Platform

#: One machine has several names for its architecture.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Verdict(enum.IntEnum):
    """Whether a node fits, or which filter refuses it first."""

    FITS = 0
    UNAVAILABLE = 1
    RESOURCES = 2
    PLUGINS = 3
    CONSTRAINTS = 4
    PLATFORMS = 5
    PORTS = 6
    REPLICAS = 7
    GONE = 8


#: Asks a node, and says whether it is refused for that.
Test = tuple[Verdict, Callable[[Node], bool]]


def label_value(node: Node, descriptor: str) -> str:
    """Return what a node says of a label to spread over; empty where it has none."""
    if descriptor.lower().startswith(NODE_LABEL):
        return (node.spec.labels or {}).get(descriptor[len(NODE_LABEL) :], "")
    engine = node.description.engine
    return engine.labels.get(descriptor[len(ENGINE_LABEL) :], "") if engine is not None else ""


def static_tests(needs: Needs) -> tuple[Test, ...]:
    """Return what is asked of a node itself, in order."""
    tests: list[Test] = []
    if needs.plugins:
        tests.append((Verdict.PLUGINS, lambda node: _has_plugins(node, needs.plugins)))
    try:
        constraints = [parse(text) for text in needs.constraints]
    except Rejected:
        constraints = []  # as in SwarmKit: none is stored that cannot be read
    tests += [(Verdict.CONSTRAINTS, matcher(constraint)) for constraint in constraints]
    if needs.platforms:
        platforms = [(_architecture(platform), platform.os) for platform in needs.platforms]
        tests.append((Verdict.PLATFORMS, lambda node: _has_platform(node, platforms)))
    return tuple(tests)


def _has_plugins(node: Node, wanted: Sequence[tuple[str, str]]) -> bool:
    engine = node.description.engine
    plugins = engine.plugins if engine is not None else ()
    return all(_has_plugin(plugins, kind, name) for kind, name in wanted)


def _has_plugin(plugins: Sequence[EnginePlugin], kind: str, name: str) -> bool:
    """Whether one is there; an engine that tells of no log driver at all is not asked for any, as in SwarmKit."""
    names = [plugin.name for plugin in plugins if plugin.type == kind]
    return name in names or f"{name}:latest" in names or (kind == "Log" and not names)


def _architecture(platform: Platform) -> str:
    return _ARCHITECTURES.get(platform.architecture, platform.architecture)


def _has_platform(node: Node, wanted: Sequence[tuple[str, str]]) -> bool:
    platform = node.description.platform
    if platform is None:
        return False
    own = _architecture(platform)
    return any(arch in ("", own) and os in ("", platform.os) for arch, os in wanted)


_WORDS = {
    Verdict.UNAVAILABLE: "{} not available for new tasks",
    Verdict.RESOURCES: "insufficient resources on {}",
    Verdict.PLUGINS: "missing plugin on {}",
    Verdict.CONSTRAINTS: "scheduling constraints not satisfied on {}",
    Verdict.PLATFORMS: "unsupported platform on {}",
    Verdict.PORTS: "host-mode port already in use on {}",
    Verdict.REPLICAS: "max replicas per node limit exceed",
}


def explain(refused: Sequence[int]) -> str:
    """Say why there is no node, from how many nodes each filter refused; the filter with most of them first."""
    parts = [
        words.format(f"{refused[verdict]} node{'' if refused[verdict] == 1 else 's'}")
        for verdict, words in sorted(_WORDS.items(), key=lambda item: -refused[item[0]])
        if refused[verdict]
    ]
    return f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"
