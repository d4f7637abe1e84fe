"""From words to nodes: Go's grammar of templates, but for what has no use in Swarm."""

from collections.abc import Container
from typing import NoReturn

from skep.core.template import literals
from skep.core.template.formatting import quoted
from skep.core.template.lexer import Kind, Token, tokens
from skep.core.template.mistake import TemplateError, Wrong
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

#: Words of a template. Each costs some microseconds, and all of it is read in one go.
TOKENS_MAX = 50_000

#: Actions and parentheses within each other: each is some frames of Python's stack, which has 1,000.
DEPTH_MAX = 64

_BRANCHES = frozenset({"if", "range", "with"})
_MISSING_ACTIONS = frozenset({"block", "break", "continue", "define", "template"})
_MISSING_FUNCTIONS = frozenset({"call", "html", "js", "slice", "urlquery"})
_KEYWORDS = _BRANCHES | _MISSING_ACTIONS | {"else", "end"}

#: What a term begins with.
_TERMS = frozenset({
    Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.WORD, Kind.NUMBER, Kind.CHARACTER, Kind.QUOTED, Kind.RAW, Kind.OPEN,
})  # fmt: skip

#: A pair of variables of a `range`: key and value.
_PAIR = 2


def parse(text: str, functions: Container[str]) -> Template:
    """Return `text` as a template that may call `functions`.

    Raises:
        TemplateError: it is none.
    """
    return Template(text, _Parser(text, functions).parse())


class _Parser:
    def __init__(self, text: str, functions: Container[str]) -> None:
        self._text = text
        self._functions = functions
        self._tokens = tokens(text)
        self._count = 0
        self._depth = 0
        self._variables = ["$"]
        self._last_end = 0
        self._ahead: Token | None = None

    def parse(self) -> tuple[Node, ...]:
        nodes, closing = self._list()
        if closing != "EOF":
            self._fail(f"unexpected {{{{{closing}}}}}")
        return nodes

    # words

    @property
    def _token(self) -> Token:
        """The word at hand. It is read when it is looked at: what is wrong before it is told before it."""
        if self._ahead is None:
            self._ahead = next(self._tokens)
            self._count += 1
            if self._count > TOKENS_MAX:
                self._fail(f"a template of more than {TOKENS_MAX} words is not supported")
        return self._ahead

    def _take(self) -> Token:
        """Return the word at hand, and go on."""
        token = self._token
        self._last_end = token.at + len(token.text)
        if token.kind is not Kind.END:
            self._ahead = None
        return token

    def _fail(self, message: str, at: int | None = None) -> NoReturn:
        raise TemplateError.reading(self._text, self._token.at if at is None else at, message)

    def _unexpected(self, doing: str) -> NoReturn:
        token = self._token
        keyword = token.kind is Kind.DOT or (token.kind is Kind.WORD and token.text in _KEYWORDS)
        what = f"<{token.text}>" if keyword else "EOF" if token.kind is Kind.END else quoted(token.text)
        self._fail(f"unexpected {what} in {doing}")

    def _shown(self, begin: int) -> str:
        return self._text[begin : self._last_end].strip()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._fail(f"more than {DEPTH_MAX} actions and parentheses within each other are not supported")

    # actions

    def _list(self) -> tuple[tuple[Node, ...], str]:
        """Return nodes, and what ended them: `end`, `else` (both taken up to their last word) or EOF."""
        nodes: list[Node] = []
        while True:
            if self._token.kind is Kind.END:
                return tuple(nodes), "EOF"
            token = self._take()
            if token.kind is Kind.TEXT:
                nodes.append(Text(token.text))
                continue
            word = self._token.text if self._token.kind is Kind.WORD else ""
            if word in ("end", "else"):
                self._take()
                return tuple(nodes), word
            if word in _MISSING_ACTIONS:
                self._fail(f"the action {word} is not supported")
            nodes.append(self._branch(self._take().text) if word in _BRANCHES else Action(self._pipe("command")))

    def _branch(self, word: str) -> Branch:
        self._deeper()
        known = len(self._variables)
        pipe = self._pipe(word)
        body, closing = self._list()
        otherwise: tuple[Node, ...] = ()
        if closing == "else":
            follows = self._token.text if self._token.kind is Kind.WORD else ""
            if follows == word and word in ("if", "with"):
                self._take()
                otherwise, closing = (self._branch(word),), ""
            else:
                self._close("else")
                otherwise, closing = self._list()
        if closing == "EOF":
            self._fail("unexpected EOF")
        if closing == "else":
            self._fail("expected end; found {{else}}")
        if closing == "end":
            self._close("end")
        del self._variables[known:]
        self._depth -= 1
        return Branch(word, pipe, body, otherwise)

    def _close(self, doing: str) -> None:
        if self._token.kind is not Kind.RIGHT:
            self._unexpected(doing)
        self._take()

    # pipelines

    def _pipe(self, doing: str, end: Kind = Kind.RIGHT) -> Pipe:
        begin = self._token.at
        declared: list[str] = []
        assigns = False
        first: Operand | None = None
        if self._token.kind is Kind.VARIABLE:
            declared, assigns, first = self._declarations(doing)
        commands: list[Command] = []
        while first is not None or self._token.kind is not end:
            commands.append(self._command(first, doing, end, self._token.at if first is None else begin))
            first = None
            if len(commands) > 1 and isinstance(commands[-1].operands[0], Constant | Dot | Nil):
                self._fail(f"non executable command in pipeline stage {len(commands)}", commands[-1].at)
        if not commands:
            self._fail(f"missing value for {doing}")
        shown = self._shown(begin)
        self._take()
        return Pipe(begin, shown, tuple(commands), tuple(declared), assigns)

    def _declarations(self, doing: str) -> tuple[list[str], bool, Operand | None]:
        """Return the variables that are set, and how; or the operand that the first of them is."""
        declared: list[str] = []
        while True:
            variable = self._take()
            follows = self._token
            if follows.kind in (Kind.DECLARE, Kind.ASSIGN):
                self._take()
                declared.append(variable.text)
                assigns = follows.kind is Kind.ASSIGN
                if not assigns:
                    self._variables += declared
                for name in declared:
                    self._use(name)
                return declared, assigns, None
            if follows.text != ",":
                return [], False, self._fields(variable)
            self._take()
            declared.append(variable.text)
            if doing != "range" or len(declared) == _PAIR:
                self._fail(f"too many declarations in {doing}")
            if self._token.kind is not Kind.VARIABLE:
                self._fail("range can only initialize variables")

    def _command(self, first: Operand | None, doing: str, end: Kind, begin: int) -> Command:
        """Read a command up to what ends it, a pipe among its own; `first` was read already."""
        operands = [] if first is None else [first]
        while self._token.kind in _TERMS:
            if operands and not self._token.spaced:
                self._unexpected("operand")
            operands.append(self._operand("operand" if operands else doing))
        shown = self._shown(begin)
        if self._token.kind is Kind.PIPE:
            if not operands:
                self._unexpected(doing)
            self._take()
        elif self._token.kind is not end or not operands:
            self._unexpected("operand" if operands else doing)
        return Command(begin, shown, tuple(operands))

    # operands

    def _operand(self, doing: str) -> Operand:
        token = self._token
        if token.kind is Kind.OPEN:
            self._take()
            self._deeper()
            pipe = self._pipe("parenthesized pipeline", Kind.CLOSE)
            self._depth -= 1
            at, names = self._names()
            return Chain(at, self._shown(token.at), pipe, names) if names else pipe
        if token.kind is Kind.WORD and token.text in _KEYWORDS:
            self._unexpected(doing)
        self._take()
        if token.kind in (Kind.FIELD, Kind.VARIABLE):
            return self._fields(token)
        if token.kind is Kind.WORD and token.text not in ("true", "false", "nil"):
            return self._function(token)
        operand = self._constant(token)
        if self._token.kind is Kind.FIELD and not self._token.spaced:
            self._fail(f"unexpected . after term {quoted(token.text)}")
        return operand

    def _constant(self, token: Token) -> Constant | Dot | Nil:
        at, text = token.at, token.text
        try:
            match token.kind:
                case Kind.DOT:
                    return Dot(at)
                case Kind.WORD:
                    return Nil(at) if text == "nil" else Constant(at, text, text == "true")
                case Kind.NUMBER:
                    return Constant(at, text, literals.number(text))
                case Kind.CHARACTER:
                    return Constant(at, text, literals.character(text))
                case Kind.RAW:
                    return Constant(at, text, text[1:-1].replace("\r", ""))
                case _:
                    return Constant(at, text, literals.unquote(text))
        except Wrong as wrong:
            raise TemplateError.reading(self._text, at, str(wrong)) from None

    def _function(self, token: Token) -> Function | Chain:
        name = token.text
        if name in _MISSING_FUNCTIONS:
            self._fail(f"the function {name} is not supported", token.at)
        if name not in self._functions:
            self._fail(f'function "{name}" not defined', token.at)
        function = Function(token.at, name)
        at, names = self._names()
        return Chain(at, self._shown(token.at), function, names) if names else function

    def _fields(self, token: Token) -> Field | Variable:
        """Return the fields, or the variable with its fields, that begin with `token`."""
        if token.kind is Kind.VARIABLE:
            self._use(token.text)
        at, names = self._names()
        at = at if names else token.at  # Go tells the place of a chain by its second part
        shown = self._text[token.at : self._last_end]
        if token.kind is Kind.VARIABLE:
            return Variable(at, shown, token.text, names)
        return Field(at, shown, (token.text[1:], *names))

    def _names(self) -> tuple[int, tuple[str, ...]]:
        at, names = self._token.at, []
        while self._token.kind is Kind.FIELD and not self._token.spaced:
            names.append(self._take().text[1:])
        return at, tuple(names)

    def _use(self, variable: str) -> None:
        if variable not in self._variables:
            self._fail(f'undefined variable "{variable}"')
