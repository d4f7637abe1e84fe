"""The words of a template: text, and what stands between `{{` and `}}`.

Words come one by one, so that of several mistakes the first in the text is told, as Go does. Nothing is read twice.
"""

import enum
import re
from collections.abc import Generator, Iterator

from msgspec import Struct

from skep.core.template.mistake import TemplateError


class Kind(enum.Enum):
    """What a word is; the value is how Go's messages call it."""

    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    FIELD = "field"
    DOT = "."
    VARIABLE = "variable"
    WORD = "word"
    NUMBER = "number"
    CHARACTER = "character"
    QUOTED = "quoted"
    RAW = "raw"
    PIPE = "|"
    DECLARE = ":="
    ASSIGN = "="
    OPEN = "("
    CLOSE = ")"
    OTHER = "other"
    END = "EOF"


class Token(Struct, frozen=True, gc=False):
    """A word at offset `at`; `spaced` says that space stood before it."""

    kind: Kind
    text: str
    at: int
    spaced: bool = False


#: What an action is made of. Every alternative is read without going back.
_TOKEN = re.compile(
    r"""(?P<QUOTED>"(?:\\[^\n]|[^"\\\n])*+")"""
    r"|(?P<RAW>`[^`]*`)"
    r"|(?P<CHARACTER>'(?:\\[^\n]|[^'\\\n])*+')"
    r"|(?P<NUMBER>[+-]?\.?[0-9](?:(?<=[0-9.][eE])[+-]|[\w.])*)"
    r"|(?P<FIELD>\.\w+)"
    r"|(?P<DOT>\.)"
    r"|(?P<VARIABLE>\$\w*)"
    r"|(?P<WORD>\w+)"
    r"|(?P<PIPE>\|)"
    r"|(?P<DECLARE>:=)"
    r"|(?P<ASSIGN>=)"
    r"|(?P<OPEN>\()"
    r"|(?P<CLOSE>\))"
    r"|(?P<OTHER>.)",
    re.DOTALL,
)

_SPACES = " \t\r\n"
_SPACE = frozenset(_SPACES)
_NO_SPACE = re.compile(f"[^{_SPACES}]")

#: What may follow a name.
_TERMINATORS = frozenset(" \t\r\n.,|:)(")
_NAMES = frozenset({Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.WORD})

#: A quote that is read alone has no end.
_UNTERMINATED = {'"': "unterminated quoted string", "`": "unterminated raw quoted string"}
_UNTERMINATED |= {"'": "unterminated character constant"}


def tokens(text: str) -> Iterator[Token]:
    """Yield the words of `text`, END last.

    Raises:
        TemplateError: something is no word, or has no end.
    """
    at, trim = 0, False
    while (begin := text.find("{{", at)) >= 0:
        trim_before = text.startswith("-", begin + 2) and text[begin + 3 : begin + 4] in _SPACE
        yield from _text(text, at, begin, after=trim, before=trim_before)
        inside = begin + (4 if trim_before else 2)
        if text.startswith("/*", inside):
            at, trim = _skip_comment(text, inside)
            continue
        yield Token(Kind.LEFT, "{{", begin)
        at, trim = yield from _action(text, inside)
    yield from _text(text, at, len(text), after=trim, before=False)
    yield Token(Kind.END, "EOF", len(text))


def _text(text: str, begin: int, end: int, *, after: bool, before: bool) -> Iterator[Token]:
    found = text[begin:end]
    if after:
        found = found.lstrip(_SPACES)
    if before:
        found = found.rstrip(_SPACES)
    if found:
        yield Token(Kind.TEXT, found, begin)


def _skip_comment(text: str, at: int) -> tuple[int, bool]:
    end = text.find("*/", at + 2)
    if end < 0:
        raise TemplateError.reading(text, at, "unclosed comment")
    found = _right(text, end + 2)
    if found is None:
        raise TemplateError.reading(text, end, "comment ends before closing delimiter")
    return found


def _right(text: str, at: int) -> tuple[int, bool] | None:
    """Return where text goes on, and whether its space is trimmed, if an action ends at `at`."""
    if text.startswith("}}", at):
        return at + 2, False
    if text[at : at + 1] in _SPACE and text.startswith("-}}", at + 1):
        return at + 4, True
    return None


def _action(text: str, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """Yield the words up to RIGHT; return what `_right` does."""
    depth = 0
    while True:
        begin, at = at, _skip_space(text, at)
        found = _right(text, at) or (_right(text, at - 1) if at > begin else None)
        if found is not None:
            if depth:
                raise TemplateError.reading(text, at, "unclosed left paren")
            yield Token(Kind.RIGHT, "}}", at)
            return found
        token = _read(text, at, spaced=at > begin)
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        if depth < 0:
            raise TemplateError.reading(text, at, "unexpected right paren")
        yield token
        at += len(token.text)


def _skip_space(text: str, at: int) -> int:
    found = _NO_SPACE.search(text, at)
    return len(text) if found is None else found.start()


def _read(text: str, at: int, *, spaced: bool) -> Token:
    match = _TOKEN.match(text, at)
    if match is None:
        raise TemplateError.reading(text, at, "unclosed action")
    kind, word, end = Kind[match.lastgroup or "OTHER"], match[0], match.end()
    if kind is Kind.OTHER:
        if word in _UNTERMINATED:
            raise TemplateError.reading(text, at, _UNTERMINATED[word])
        if word in ("+", "-"):
            raise TemplateError.reading(text, at, f'illegal number syntax: "{word}"')
        if word == ":":
            raise TemplateError.reading(text, at, "expected :=")
        if not (word.isascii() and word.isprintable()):
            raise TemplateError.reading(text, at, f"unrecognized character in action: {_named(word)}")
    if kind in _NAMES and end < len(text) and text[end] not in _TERMINATORS and not text.startswith("}}", end):
        # a brace alone is most often half of an end
        alone = text[end] == "}" and text.find("}}", end) < 0
        raise TemplateError.reading(text, end, "unclosed action" if alone else f"bad character {_named(text[end])}")
    return Token(kind, word, at, spaced)


def _named(character: str) -> str:
    """Return a character as Go's %#U does."""
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"
