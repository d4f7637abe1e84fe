"""JSON as Go's `encoding/json` takes it, and its complaints.

Python's parser does the work; only when it fails does a scanner walk the text again, to complain in Go's words.
Differences of Go's that are kept: what follows the first value is ignored, members keep their order and may repeat,
numbers keep their text, half a surrogate pair becomes U+FFFD.
"""

import json
import re
from typing import Any, NoReturn

from skep_adapters.docker_api.errors import ApiError, bad_request

#: Go stops here too.
DEPTH_MAX = 10_000

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LEVELS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
#: What Go has a short spelling for.
_SPELT = {'"': '\\"', "\\": "\\\\", **{chr(code): f"\\{c}" for code, c in enumerate("abtnvfr", start=7)}}
_HEX = "0123456789abcdefABCDEF"
_HEX_DIGITS = 4


class Number(str):
    """A number as it was written; no JSON string is one."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of an object, in order, repeated ones too."""

    __slots__ = ()


def _no_constant(_: str) -> NoReturn:
    raise ValueError


_DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=_no_constant, strict=True
)


def parse(raw: bytes) -> Any:
    """Return the first JSON value of `raw`: Members, list, str, Number, bool or None.

    Raises:
        EOFError: there is none, only space.
        ApiError: 400, it is no JSON; the words are Go's.
    """
    text = raw.decode("utf-8", "replace")
    start = _end(_SPACE, text, 0)
    if start == len(text):
        raise EOFError
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError:
        # Go complains of a byte, whatever character that is a part of
        raise _Complaint(raw.decode("utf-8", "surrogateescape")).about(start) from None
    return value


def whole(text: str) -> str:
    """Return `text` without halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def quoted(text: str) -> str:
    """Return `text` in Go's double quotes (%q): what cannot be printed is spelt out."""
    return f'"{"".join(map(_spelt, text))}"'


def _spelt(c: str) -> str:
    if (short := _SPELT.get(c)) is not None:
        return short
    if c.isprintable():
        return c
    if c.isascii():
        return f"\\x{ord(c):02x}"
    return f"\\u{ord(c):04x}" if c <= "\uffff" else f"\\U{ord(c):08x}"


class _Complaint:
    """Walks a text that is no JSON up to where Go's scanner stops."""

    def __init__(self, text: str) -> None:
        self._text = text

    def about(self, start: int) -> ApiError:
        try:
            self._value(start, 0)
        except ApiError as complaint:
            return complaint
        except RecursionError:
            return _too_deep(self._text)
        return bad_request("invalid JSON")

    def _stop(self, at: int, context: str) -> NoReturn:
        if at >= len(self._text):
            raise bad_request("unexpected EOF")
        raise bad_request(f"invalid character {_rune(self._text[at])} {context}")

    def _at(self, at: int) -> str:
        return self._text[at] if at < len(self._text) else ""

    def _value(self, at: int, depth: int) -> int:
        if depth > DEPTH_MAX:
            raise _too_deep(self._text)
        at = _end(_SPACE, self._text, at)
        match self._at(at):
            case "{":
                return self._object(at + 1, depth + 1)
            case "[":
                return self._array(at + 1, depth + 1)
            case '"':
                return self._string(at + 1)
            case "t":
                return self._literal(at, "true")
            case "f":
                return self._literal(at, "false")
            case "n":
                return self._literal(at, "null")
            case c if c and c in "-0123456789":
                return self._number(at)
        return self._stop(at, "looking for beginning of value")

    def _object(self, at: int, depth: int) -> int:
        at = _end(_SPACE, self._text, at)
        if self._at(at) == "}":
            return at + 1
        while True:
            at = _end(_SPACE, self._text, at)
            if self._at(at) != '"':
                self._stop(at, "looking for beginning of object key string")
            at = _end(_SPACE, self._text, self._string(at + 1))
            if self._at(at) != ":":
                self._stop(at, "after object key")
            at = _end(_SPACE, self._text, self._value(at + 1, depth))
            if self._at(at) == "}":
                return at + 1
            if self._at(at) != ",":
                self._stop(at, "after object key:value pair")
            at += 1

    def _array(self, at: int, depth: int) -> int:
        at = _end(_SPACE, self._text, at)
        if self._at(at) == "]":
            return at + 1
        while True:
            at = _end(_SPACE, self._text, self._value(at, depth))
            if self._at(at) == "]":
                return at + 1
            if self._at(at) != ",":
                self._stop(at, "after array element")
            at += 1

    def _string(self, at: int) -> int:
        while True:
            at = _end(_PLAIN, self._text, at)
            match self._at(at):
                case '"':
                    return at + 1
                case "\\":
                    at = self._escape(at + 1)
                case _:
                    self._stop(at, "in string literal")

    def _escape(self, at: int) -> int:
        c = self._at(at)
        if not c or c not in 'bfnrt\\/"u':
            self._stop(at, "in string escape code")
        if c == "u":
            for digit in range(at + 1, at + 1 + _HEX_DIGITS):
                if not self._at(digit) or self._at(digit) not in _HEX:
                    self._stop(digit, "in \\u hexadecimal character escape")
            return at + 1 + _HEX_DIGITS
        return at + 1

    def _literal(self, at: int, word: str) -> int:
        for offset, expected in enumerate(word):
            if self._at(at + offset) != expected:
                self._stop(at + offset, f"in literal {word} (expecting {_rune(expected)})")
        return at + len(word)

    def _number(self, at: int) -> int:
        after = at + 1 if self._at(at) == "-" else at
        if self._at(after) not in tuple("0123456789"):
            self._stop(after, "in numeric literal")
        at = _end(_NUMBER, self._text, at)
        match self._at(at):
            case ".":
                self._stop(at + 1, "after decimal point in numeric literal")
            case "e" | "E":
                sign = self._at(at + 1)
                self._stop(at + 2 if sign and sign in "+-" else at + 1, "in exponent of numeric literal")
        return at


def _too_deep(text: str) -> ApiError:
    """Return the complaint about what opens one level too many."""
    depth = 0
    for found in _LEVELS.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth > DEPTH_MAX:
            return bad_request(f"invalid character '{found[0]}' exceeded max depth")
    return bad_request("exceeded max depth")


def _rune(c: str) -> str:
    """Return the first byte of a character in Go's single quotes."""
    c = chr(c.encode("utf-8", "surrogateescape")[0])
    if c == "'":
        return "'\\''"
    if c == '"':
        return "'\"'"
    return f"'{quoted(c)[1:-1]}'"


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
