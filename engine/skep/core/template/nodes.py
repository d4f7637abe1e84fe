"""What a template is made of, once it was read.

`at` is the offset that Go tells of a mistake in the node, and `shown` the node as it was written.
"""

from typing import TypeAlias

from msgspec import Struct


class Dot(Struct, frozen=True):
    """What is looked at."""

    at: int
    shown: str = "."


class Nil(Struct, frozen=True):
    """Nothing."""

    at: int
    shown: str = "nil"


class Constant(Struct, frozen=True):
    """A literal."""

    at: int
    shown: str
    value: str | int | float | bool


class Field(Struct, frozen=True):
    """Fields of what is looked at, each of the one before."""

    at: int
    shown: str
    names: tuple[str, ...]


class Variable(Struct, frozen=True):
    """A variable, and fields of it."""

    at: int
    shown: str
    name: str
    names: tuple[str, ...] = ()


class Chain(Struct, frozen=True):
    """Fields of something in parentheses."""

    at: int
    shown: str
    operand: "Operand"
    names: tuple[str, ...]


class Function(Struct, frozen=True):
    """A function's name."""

    at: int
    shown: str


class Command(Struct, frozen=True):
    """What is called or said, and its arguments."""

    at: int
    shown: str
    operands: tuple["Operand", ...]


class Pipe(Struct, frozen=True):
    """Commands, each given what the one before gave; `variables` are set to the last's, anew unless `assigns`."""

    at: int
    shown: str
    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False


Operand: TypeAlias = Dot | Nil | Constant | Field | Variable | Chain | Function | Pipe


class Text(Struct, frozen=True):
    """Text as it is."""

    text: str


class Action(Struct, frozen=True):
    """Something that is written, unless it sets variables."""

    pipe: Pipe


class Branch(Struct, frozen=True):
    """`if`, `with` or `range`: `body` for what is true or for each, else `otherwise`."""

    word: str
    pipe: Pipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


Node: TypeAlias = Text | Action | Branch


class Template(Struct, frozen=True):
    """A template that was read; its repr hides it, as it may be secret."""

    text: str
    nodes: tuple[Node, ...]

    def __repr__(self) -> str:
        """Hide the text."""
        return f"Template({len(self.nodes)} nodes)"
