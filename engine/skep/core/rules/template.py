"""Go's templates in a spec: whether they are well formed, and name what exists.

Swarm expands hostname, environment and mounts of a made-up task before it stores a service, so that a wrong template
is refused. This reads what that would find: an action that is not closed or is empty, a text that is not closed, a
function or a field that is not there. It does not count `end`s, nor look into branches that may not be taken, nor
at what functions are given: such mistakes show when a task is made.
"""

import re
from collections.abc import Iterator

from skep.core.rejected import Rejected

# The types of a template's context, as Go spells them.
_ROOT = "*template.Context"
_SERVICE = "struct { ID string; Name string; Labels map[string]string }"
_NODE = "struct { ID string; Hostname string; Platform template.Platform }"
_TASK = "struct { ID string; Name string; Slot string }"
_PLATFORM = "template.Platform"
_TEXT = "string"
#: Any key will do.
_MAP = ""

_FIELDS: dict[str, dict[str, str]] = {
    _ROOT: {"Service": _SERVICE, "Node": _NODE, "Task": _TASK},
    _SERVICE: {"ID": _TEXT, "Name": _TEXT, "Labels": _MAP},
    _NODE: {"ID": _TEXT, "Hostname": _TEXT, "Platform": _PLATFORM},
    _TASK: {"ID": _TEXT, "Name": _TEXT, "Slot": _TEXT},
    _PLATFORM: {"Architecture": _TEXT, "OS": _TEXT},
    _TEXT: {},
}

#: What follows these may not be reached, or another dot is in force there.
_CONTROL = frozenset({"block", "define", "if", "range", "template", "with"})
_KEYWORDS = frozenset({"break", "continue", "else", "end", "false", "nil", "true"})
_FUNCTIONS = frozenset(
    {"and", "call", "eq", "ge", "gt", "html", "index", "join", "js", "le", "len", "lt", "ne", "not", "or"}
    | {"print", "printf", "println", "slice", "urlquery"}
)
_WORDS = _CONTROL | _KEYWORDS | _FUNCTIONS

#: What an action is made of. Every alternative is read without going back.
_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])*')"""
    r"|(?P<member>(?<=\))(?:\.\w+)+)"
    r"|(?P<fields>(?:\.[^\W\d]\w*)+)"
    r"|(?P<variable>\$\w*(?:\.\w+)*)"
    r"|(?P<number>\.?\d[\w.]*)"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<other>\S)",
    re.DOTALL,
)

#: A quote that is read alone has no end.
_UNTERMINATED = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}

_Tokens = list[re.Match[str]]


def check_template(text: str, doing: str) -> None:
    """Reject a text that is no template; `doing` says what is being expanded, as in "expanding hostname failed"."""
    if "{{" not in text:
        return
    # all of it is read before any of it is executed, so the mistakes of reading come first
    for tokens in list(_actions(text, doing)):
        for token in tokens:
            if token["fields"]:
                _check_fields(text, token, doing)
        if any(token["word"] in _CONTROL for token in tokens):
            return


def _actions(text: str, doing: str) -> Iterator[_Tokens]:
    end = 0
    while (begin := text.find("{{", end)) >= 0:
        close = text.find("}}", begin + 2)
        if close < 0:
            raise _refused(doing, _line(text, len(text)), "unclosed action")
        end = close + 2
        inside = text[begin + 2 : close].strip("- \t\r\n")
        if inside.startswith("/*"):
            continue
        if not inside:
            raise _refused(doing, _line(text, begin), "missing value for command")
        tokens: _Tokens = []
        for token in _TOKEN.finditer(text, begin + 2, close):
            # at the first: reading on would look for the end of every quote that follows
            if token["other"] in _UNTERMINATED:
                raise _refused(doing, _line(text, begin), f"unterminated {_UNTERMINATED[token['other']]}")
            if token["word"] and token["word"] not in _WORDS:
                raise _refused(doing, _line(text, begin), f'function "{token["word"]}" not defined')
            tokens.append(token)
        yield tokens


def _check_fields(text: str, token: re.Match[str], doing: str) -> None:
    kind = _ROOT
    names = token["fields"].split(".")[1:]
    for name in names:
        if kind == _MAP:
            return
        if name not in _FIELDS[kind]:
            # Go tells the place of a chain by its second field
            place = token.start() + (len(names[0]) + 1 if len(names) > 1 else 0)
            column = place - (text.rfind("\n", 0, place) + 1)
            where = f'executing "expansion" at <{token["fields"]}>'
            raise _refused(
                doing, f"{_line(text, place)}:{column}", f"{where}: can't evaluate field {name} in type {kind}"
            )
        kind = _FIELDS[kind][name]


def _line(text: str, place: int) -> str:
    return str(text.count("\n", 0, place) + 1)


def _refused(doing: str, place: str, message: str) -> Rejected:
    return Rejected.invalid(f"{doing}: template: expansion:{place}: {message}")
