"""What literals of a template stand for: numbers, characters and strings, as Go writes them."""

import re

from skep.core.template.mistake import Wrong

_INTEGER = re.compile(r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)")
_FLOAT = re.compile(r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(
    r"""\\(?:(?P<plain>[abfnrtv\\'"])|(?P<octal>[0-3][0-7]{2})|x(?P<byte>[0-9a-fA-F]{2})"""
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<wrong>))"
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}

_BITS = 63
#: More decimal digits than any number has that exists here.
DIGITS_MAX = 19
_UNICODE_MAX = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def number(text: str) -> int | float:
    """Return the number that `text` is.

    Raises:
        Wrong: it is none, or one that does not exist here.
    """
    if _INTEGER.fullmatch(text):
        digits = text.replace("_", "")
        sign, bare = (digits[0], digits[1:]) if digits[0] in "+-" else ("", digits)
        if bare.isdecimal() and bare != "0" and bare.startswith("0"):
            bare = "0o" + bare[1:]  # a zero at the front is octal
        # of very many decimal digits Python makes no number
        value = int(sign + bare, 0) if len(bare) <= DIGITS_MAX or not bare.isdecimal() else 1 << _BITS
        if not -(1 << _BITS) <= value < 1 << _BITS:
            raise Wrong(f'integer overflow: "{text}"')
        return value
    if _FLOAT.fullmatch(text):
        value_ = float(text.replace("_", ""))
        if value_ in (float("inf"), float("-inf")):
            raise Wrong(f'illegal number syntax: "{text}"')
        return value_
    if text.endswith("i") and _FLOAT.fullmatch(text[:-1]):
        raise Wrong("complex numbers are not supported")
    raise Wrong(f'bad number syntax: "{text}"')


def character(text: str) -> int:
    """Return the number of a character constant; raise `Wrong` if it is none."""
    said = unquote('"' + text[1:-1].replace("\\'", "'") + '"') if '"' not in text else text[1:-1]
    if len(said) != 1:
        raise Wrong(f"malformed character constant: {text}")
    return ord(said)


def unquote(text: str) -> str:
    """Return what a quoted string says; raise `Wrong` if an escape in it is none."""
    inside = text[1:-1]
    if "\\" not in inside:
        return inside
    pieces, at = bytearray(), 0
    for found in _ESCAPE.finditer(inside):
        pieces += inside[at : found.start()].encode("utf-8", "surrogateescape")
        pieces += _escaped(found)
        at = found.end()
    pieces += inside[at:].encode("utf-8", "surrogateescape")
    return pieces.decode("utf-8", "surrogateescape")


def _escaped(found: re.Match[str]) -> bytes:
    if plain := found["plain"]:
        if plain == "'":
            raise Wrong("invalid syntax")
        return _PLAIN.get(plain, plain).encode()
    if octal := found["octal"]:
        return bytes([int(octal, 8)])
    if byte := found["byte"]:
        return bytes([int(byte, 16)])
    if digits := found["short"] or found["long"]:
        point = int(digits, 16)
        if point > _UNICODE_MAX or point in _SURROGATES:
            raise Wrong("invalid syntax")
        return chr(point).encode()
    raise Wrong("invalid syntax")
