r"""Values as text: print and printf of Go's fmt, for the verbs %s %q %v %d, the flags - and 0, width and precision.

What Go writes of wrong arguments is written: `%!d(string=a)`, `%!d(MISSING)`, `%!(EXTRA int=1)`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from skep.core.template.mistake import Wrong
from skep.core.template.values import Record, Value, type_name

#: The widest that a value may be made: wider serves nobody, and a few bytes of a template would become megabytes.
WIDTH_MAX = 1000

_DIRECTIVE = re.compile(
    r"%(?P<flags>[-0+# ]*)(?P<width>\*|[0-9]*)(?:\.(?P<precision>\*|[0-9]*))?(?P<verb>.)?", re.DOTALL
)
_VERBS = frozenset("sqvd")

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_BYTES = range(0xDC80, 0xDD00)
_SMALL = 0x20
_DELETE = 0x7F
_SHORT = 0x10000
_BEYOND = 0x110000

#: From where, and below where, a float is written with an exponent.
_EXPONENT_MAX = 6
_EXPONENT_MIN = -4


class Form(Struct, frozen=True):
    """How a value is written."""

    verb: str = "v"
    left: bool = False
    zeros: bool = False
    width: int = 0
    precision: int | None = None


PLAIN = Form()


def spaced(values: Sequence[Value]) -> Iterator[str]:
    """Yield the pieces that `print` writes: with a space between two values of which neither is text."""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            yield " "
        yield from written(value)


def formatted(form: str, values: Sequence[Value]) -> Iterator[str]:
    """Yield the pieces that `printf` writes.

    Raises:
        Wrong: it asks for what is not supported.
    """
    at = used = 0
    for found in _DIRECTIVE.finditer(form):
        yield form[at : found.start()]
        at = found.end()
        verb = found["verb"]
        if verb is None:
            yield "%!(NOVERB)"
        elif verb == "%":
            yield "%"
        else:
            how = _form(found)
            if used < len(values):
                yield from written(values[used], how)
            else:
                yield f"%!{verb}(MISSING)"
            used += 1
    yield form[at:]
    if used < len(values):
        yield "%!(EXTRA "
        for number, value in enumerate(values[used:]):
            yield ", " if number else ""
            yield from _typed(value)
        yield ")"


def written(value: Value, form: Form = PLAIN) -> Iterator[str]:
    """Yield the pieces of one value."""
    if isinstance(value, Record):
        yield "{"
        for number, field in enumerate(value.fields.values()):
            yield " " if number else ""
            yield from written(field, form)
        yield "}"
    elif isinstance(value, Mapping):
        yield "map["
        for number, key in enumerate(sorted(value)):
            yield " " if number else ""
            yield _leaf(key, form)
            yield ":"
            yield _leaf(value[key], form)
        yield "]"
    elif isinstance(value, tuple):
        yield "["
        for number, each in enumerate(value):
            yield " " if number else ""
            yield from written(each, form)
        yield "]"
    else:
        yield _leaf(value, form)


def _form(found: re.Match[str]) -> Form:
    verb, flags, width, precision = found["verb"], found["flags"], found["width"], found["precision"]
    for flag in "+# ":
        if flag in flags:
            raise Wrong(f'the flag "{flag}" of printf is not supported')
    if "*" in (width, precision):
        raise Wrong('"*" in a format of printf is not supported')
    if verb not in _VERBS:
        raise Wrong(f"the verb %{verb} of printf is not supported")
    if precision is not None and verb == "d":
        raise Wrong("a precision of %d is not supported")
    if max(len(width), len(precision or "")) > len(str(WIDTH_MAX)) or int(width or 0) > WIDTH_MAX:
        raise Wrong(f"a width of more than {WIDTH_MAX} is not supported")
    return Form(
        verb,
        left="-" in flags,
        zeros="0" in flags and "-" not in flags,
        width=int(width or 0),
        precision=None if precision is None else int(precision or 0),
    )


def _leaf(value: Value, form: Form) -> str:
    verb = form.verb
    if isinstance(value, str):
        if verb == "d":
            return f"%!d(string={value})"
        cut = value if form.precision is None else value[: form.precision]
        return _padded(quoted(cut) if verb == "q" else cut, form)
    if isinstance(value, int) and not isinstance(value, bool):
        if verb == "s":
            return f"%!s(int={value})"
        return _padded(_quoted_character(value) if verb == "q" else str(value), form)
    if value is None:
        return _padded("<nil>", form) if verb == "v" else f"%!{verb}(<nil>)"
    if verb == "v":
        return _padded("".join(_simple(value)), form)
    return f"%!{verb}({type_name(value)}={_simple(value)})"


def _simple(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float(value) if isinstance(value, float) else str(value)


def _typed(value: Value) -> Iterator[str]:
    yield type_name(value)
    if value is not None:
        yield "="
        yield from written(value)


def _padded(text: str, form: Form) -> str:
    if len(text) >= form.width:
        return text
    if form.left:
        return text.ljust(form.width)
    if form.zeros:
        sign = text[0] if form.verb in "dv" and text[:1] in ("-", "+") else ""
        return sign + text[len(sign) :].rjust(form.width - len(sign), "0")
    return text.rjust(form.width)


def _float(value: float) -> str:
    """Return a float as Go's %v: the shortest that gives it again, with an exponent where it is far from 1."""
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    # how many of the digits stand before the point
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0"
    if not _EXPONENT_MIN <= point - 1 < _EXPONENT_MAX:
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    before = digits[:point].ljust(point, "0")
    return f"{sign}{before}{'.' if digits[point:] else ''}{digits[point:]}"


def quoted(text: str) -> str:
    """Return `text` as Go's %q."""
    return '"' + "".join(_escaped(character, '"') for character in text) + '"'


def _quoted_character(number: int) -> str:
    known = 0 <= number < _BEYOND and not 0xD800 <= number < 0xE000  # noqa: PLR2004 - surrogates are no characters
    return "'" + _escaped(chr(number) if known else "\ufffd", "'") + "'"


def _escaped(character: str, quote: str) -> str:
    if character == quote:
        return "\\" + quote
    if character in _ESCAPES:
        return _ESCAPES[character]
    point = ord(character)
    if character.isprintable():
        return character
    if point in _BYTES:  # a byte that is no UTF-8
        return f"\\x{point - 0xDC00:02x}"
    if point < _SMALL or point == _DELETE:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < _SHORT else f"\\U{point:08x}"
