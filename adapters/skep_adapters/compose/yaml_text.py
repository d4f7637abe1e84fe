"""YAML to plain values, as Docker's client reads it: text, whole numbers, fractions, truths, nothing, lists, mappings.

What YAML 1.1 knows beyond that is text here: `yes` and `on`, times, and numbers to the base of 60, such as `22:22`. A
key that stands twice is refused, and one that is no text.
"""

import re
from typing import Any

import yaml
from skep.ports.stack_files import StackFileError

from skep_adapters.compose.place import Place

#: Stack files are a few kilobytes long; the largest config is under a megabyte, and stands in a file of its own.
FILE_BYTES_MAX = 512 * 1024

#: Aliases make much of little. A stack of 1,000 services has about 30,000 values.
VALUES_MAX = 100_000
DEPTH_MAX = 50

_PREFIX = "tag:yaml.org,2002:"
_MERGE = f"{_PREFIX}merge"
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

#: Longer runs of digits are text: nothing in a stack file counts so far.
_DIGITS_MAX = 40


class _Loader(yaml.SafeLoader):
    """YAML's reader with rules of its own for what a bare word is."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - what the library itself reads

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take in what `<<` names, and count it: merges of merges multiply, before any value is there."""
        for key, named in node.value:
            if key.tag != _MERGE:
                continue
            for one in named.value if isinstance(named, yaml.SequenceNode) else [named]:
                if isinstance(one, yaml.MappingNode):
                    self.flatten_mapping(one)
                    self._merged += len(one.value)
                if self._merged > VALUES_MAX:
                    problem = f"<< brings more than {VALUES_MAX} values"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        super().flatten_mapping(node)


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"{_PREFIX}{tag}", re.compile(f"^(?:{pattern})$"), list(first))


_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_Loader.add_implicit_resolver(f"{_PREFIX}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_resolve("int", _INT.pattern, "-+0123456789")
_resolve("float", f"{_FLOAT.pattern}|{_INFINITE.pattern}", "-+0123456789.")
_resolve("merge", "<<", "<")


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text = str(loader.construct_scalar(node)).replace("_", "")
    digits = text.lstrip("+-")
    if len(digits) > _DIGITS_MAX or not digits:
        return str(node.value)
    octal = digits[0] == "0" and digits.isdigit() and len(digits) > 1
    number = int(digits, 8) if octal else int(digits, 0)
    return -number if text[0] == "-" else number


def _construct_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.MarkedYAMLError(problem="is no mapping, as its tag says", problem_mark=node.start_mark)
    seen: dict[str, None] = {}
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_PREFIX}str":
            raise yaml.MarkedYAMLError(problem="a key must be text: put it in quotes", problem_mark=key.start_mark)
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
        seen[key.value] = None
    loader.flatten_mapping(node)
    return {key.value: loader.construct_object(value, deep=True) for key, value in node.value}


def _construct_truth(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node)).lower()
    if text not in ("true", "false"):
        raise yaml.MarkedYAMLError(problem=f"{text!r} is neither true nor false", problem_mark=node.start_mark)
    return text == "true"


_Loader.add_constructor(f"{_PREFIX}bool", _construct_truth)
_Loader.add_constructor(f"{_PREFIX}int", _construct_int)
_Loader.add_constructor(f"{_PREFIX}timestamp", _construct_text)
_Loader.add_constructor(f"{_PREFIX}map", _construct_mapping)


def load(text: bytes, file: str) -> dict[str, Any]:
    """Return the mapping that a file holds.

    Raises:
        StackFileError: it is too large, no YAML, or no mapping.
    """
    place = Place(file)
    if len(text) > FILE_BYTES_MAX:
        place.refuse(f"is larger than {FILE_BYTES_MAX} bytes")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise StackFileError(f"{file}: {where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise StackFileError(f"{file}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise StackFileError(f"{file}: is nested too deep") from None
    if not isinstance(value, dict):
        place.refuse("must be a mapping at its top")
    copied: dict[str, Any] = _Copy().copy(value, place, DEPTH_MAX)
    return copied


class _Copy:
    """Copies values, so that nothing is shared that an alias names twice; bounded."""

    def __init__(self) -> None:
        self._left = VALUES_MAX

    def copy(self, value: Any, place: Place, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            Place(place.file).refuse(f"has more than {VALUES_MAX} values")
        if not depth:
            Place(place.file).refuse(f"is nested deeper than {DEPTH_MAX}")
        if isinstance(value, dict):
            return {key: self.copy(one, place, depth - 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.copy(one, place, depth - 1) for one in value]
        return value
