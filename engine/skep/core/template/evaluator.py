"""Fills a template in.

Bounded, whatever the template says: so many steps, and so many bytes of text, be it the result or something on the way.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from skep.core.template.formatting import written
from skep.core.template.functions import FUNCTIONS, Signature
from skep.core.template.mistake import TemplateError, TooMuch, Wrong, as_bytes
from skep.core.template.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Function,
    Nil,
    Node,
    Operand,
    Pipe,
    Template,
    Text,
    Variable,
)
from skep.core.template.values import Record, Value, is_true, type_name

#: Commands, turns of a `range`, and blocks of text that are looked at. Each costs a few microseconds.
STEPS_MAX = 100_000

#: Text that counts as one step.
_BLOCK = 4096


class _NoValue:
    """What a command that is the first of its pipe is given."""


_NO_VALUE = _NoValue()

_Given = Value | _NoValue


def evaluate(
    template: Template, data: Record, *, size_max: int, functions: Mapping[str, Signature] | None = None
) -> str:
    """Return `template` filled in from `data`; `functions` are those beyond Go's own and `join`.

    Raises:
        TemplateError: it cannot be, or becomes more than `size_max` bytes.
    """
    return _Evaluation(template.text, data, size_max, {**FUNCTIONS, **(functions or {})}).run(template.nodes)


class _Evaluation:
    def __init__(self, text: str, data: Record, size_max: int, functions: Mapping[str, Signature]) -> None:
        self._text = text
        self._size_max = size_max
        self._functions = functions
        self._variables: list[tuple[str, Value]] = [("$", data)]
        self._steps = 0
        self._room = size_max
        self._pieces: list[str] = []
        self._data = data
        #: Where something is wrong, if it is: the node that is being evaluated, as Go counts them.
        self._here: Operand | Command = Dot(0)

    def run(self, nodes: Iterable[Node]) -> str:
        try:
            self._all(nodes, self._data)
        except Wrong as wrong:
            raise TemplateError.evaluating(self._text, self._here.at, self._here.shown, wrong) from None
        return "".join(self._pieces)

    def _spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > STEPS_MAX:
            raise TooMuch(f"a template that takes more than {STEPS_MAX} steps is not supported")

    def _fits(self, piece: str, room: int) -> int:
        """Return what is left of `room` after `piece`."""
        room -= len(piece) if piece.isascii() else len(as_bytes(piece))
        if room < 0:
            raise TooMuch(f"it becomes more than {self._size_max} bytes")
        return room

    def _join(self, pieces: Iterable[str]) -> str:
        """Put text together that is not written yet."""
        kept, room = [], self._size_max
        for piece in pieces:
            room = self._fits(piece, room)
            kept.append(piece)
        return "".join(kept)

    def _write(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self._room = self._fits(piece, self._room)
            self._pieces.append(piece)

    # actions

    def _all(self, nodes: Iterable[Node], dot: Value) -> None:
        for node in nodes:
            match node:
                case Text(text):
                    self._spend(1)
                    self._write((text,))
                case Action(pipe):
                    value = self._pipe(pipe, dot)
                    if not pipe.variables:
                        self._write(("<no value>",) if value is None else written(value))
                case Branch():
                    known = len(self._variables)
                    self._branch(node, dot)
                    del self._variables[known:]

    def _branch(self, node: Branch, dot: Value) -> None:
        if node.word == "range":
            self._range(node, dot)
            return
        value = self._pipe(node.pipe, dot)
        if is_true(value):
            self._all(node.body, value if node.word == "with" else dot)
        else:
            self._all(node.otherwise, dot)

    def _range(self, node: Branch, dot: Value) -> None:
        pipe = node.pipe
        value = self._commands(pipe, dot)
        turned = False
        known = len(self._variables)
        for key, each in self._turns(value, pipe):
            turned = True
            self._spend(1)
            # one variable is the element, two are key and element
            self._set(pipe, (key, each)[-len(pipe.variables) :] if pipe.variables else ())
            self._all(node.body, each)
            if not pipe.assigns:
                del self._variables[known:]
        if not turned:
            self._all(node.otherwise, dot)

    def _turns(self, value: Value, pipe: Pipe) -> Iterator[tuple[Value, Value]]:
        if isinstance(value, Mapping):
            return ((key, value[key]) for key in sorted(value))
        if isinstance(value, tuple):
            return iter(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if len(pipe.variables) > 1:
                raise Wrong(f"can't use {value} to iterate over more than one variable")
            return ((number, number) for number in range(value))
        raise Wrong(f"range can't iterate over {self._join(written(value))}")

    # pipes and commands

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        value = self._commands(pipe, dot)
        self._set(pipe, (value,) * len(pipe.variables))
        return value

    def _commands(self, pipe: Pipe, dot: Value) -> Value:
        value: _Given = _NO_VALUE
        for command in pipe.commands:
            value = self._command(command, dot, value)
        assert not isinstance(value, _NoValue)  # noqa: S101  # a pipe has a command
        return value

    def _set(self, pipe: Pipe, values: Iterable[Value]) -> None:
        for name, value in zip(pipe.variables, values, strict=True):
            if pipe.assigns:
                place = self._find(name)
                self._variables[place] = (name, value)
            else:
                self._variables.append((name, value))

    def _command(self, command: Command, dot: Value, final: _Given) -> Value:
        self._spend(1)
        first, rest = command.operands[0], command.operands[1:]
        if not isinstance(first, Pipe | Chain):
            self._here = first
        if isinstance(first, Function):
            return self._call(command, dot, final)
        if rest or not isinstance(final, _NoValue):
            if isinstance(first, Field | Chain | Variable) and first.names:
                self._operand(first, dot)
                raise Wrong(f"{first.names[-1]} has arguments but cannot be invoked as function")
            raise Wrong(f"can't give argument to non-function {first.shown}")
        if isinstance(first, Nil):
            raise Wrong("nil is not a command")
        return self._operand(first, dot)

    def _operand(self, operand: Operand, dot: Value) -> Value:
        if not isinstance(operand, Pipe | Chain):
            self._here = operand
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Constant(value=value):
                return value
            case Field(names=names):
                return self._fields(dot, names)
            case Variable(name=name, names=names):
                return self._fields(self._variables[self._find(name)][1], names)
            case Chain(operand=inner, names=names):
                return self._fields(self._operand(inner, dot), names)
            case Function():
                self._spend(1)
                return self._call(Command(operand.at, operand.shown, (operand,)), dot, _NO_VALUE)
            case Pipe():
                return self._pipe(operand, dot)

    def _find(self, name: str) -> int:
        """Return where the newest variable of that name is: the reader saw to it that there is one, or will be."""
        for place in reversed(range(len(self._variables))):
            if self._variables[place][0] == name:
                return place
        raise Wrong(f"undefined variable: {name}")

    def _fields(self, value: Value, names: Iterable[str]) -> Value:
        for name in names:
            if isinstance(value, Record) and name in value.fields:
                value = value.fields[name]
            elif isinstance(value, Mapping):
                if name not in value:
                    raise Wrong(f'map has no entry for key "{name}"')
                value = value[name]
            elif value is None:
                raise Wrong(f'nil data; no entry for key "{name}"')
            else:
                raise Wrong(f"can't evaluate field {name} in type {type_name(value)}")
        return value

    # functions

    def _call(self, command: Command, dot: Value, final: _Given) -> Value:
        name, operands = command.operands[0].shown, command.operands[1:]
        count = len(operands) + (not isinstance(final, _NoValue))
        if name in ("and", "or"):
            return self._choose(name, operands, dot, final, count)
        function = self._functions[name]
        if count < function.least or (count > function.least and not function.more):
            self._miscounted(name, count, function)
        values = [self._operand(operand, dot) for operand in operands]
        if not isinstance(final, _NoValue):
            values.append(final)
        texts = count if function.texts < 0 else function.texts
        for number, value in enumerate(values[:texts]):
            if not isinstance(value, str):
                self._here = operands[number] if number < len(operands) else command
                if isinstance(self._here, Constant | Nil):
                    raise Wrong(f"expected string; found {self._here.shown}")
                raise Wrong(f"wrong type for value; expected string; got {type_name(value)}")
        self._spend(sum(len(value) // _BLOCK for value in values if isinstance(value, str)))
        try:
            return function.call(values, self._join)
        except Wrong as wrong:
            self._here = command
            raise type(wrong)(f"error calling {name}: {wrong}") from None

    def _choose(self, name: str, operands: Iterable[Operand], dot: Value, final: _Given, count: int) -> Value:
        """Return the first argument that decides, or the last; those behind it are not looked at."""
        if not count:
            raise Wrong(f"wrong number of args for {name}: want at least 1 got 0")
        value: Value = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) is (name == "or"):
                return value
        return value if isinstance(final, _NoValue) else final

    def _miscounted(self, name: str, count: int, function: Signature) -> NoReturn:
        least = "at least " if function.more else ""
        raise Wrong(f"wrong number of args for {name}: want {least}{function.least} got {count}")
