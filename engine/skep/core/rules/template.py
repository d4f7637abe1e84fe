"""Go's templates in a spec: whether they are well formed, and name what exists.

Swarm expands hostname, environment and mounts of a made-up task before it stores a service, so that a wrong template
is refused. This reads all of it, which finds what Go finds when it reads one, and what is not supported here; then it
looks for fields that are not there. It does not look into branches that may not be taken, nor at what functions are
given: such mistakes show when a task is prepared.
"""

from collections.abc import Iterator

from skep.core.rejected import Rejected
from skep.core.template.context import FIELDS, LABELS, ROOT
from skep.core.template.functions import NAMES
from skep.core.template.mistake import TemplateError, Wrong
from skep.core.template.nodes import Action, Branch, Chain, Field, Operand, Pipe, Template
from skep.core.template.parser import parse


def check_template(text: str, doing: str) -> None:
    """Reject a text that is no template; `doing` says what is being expanded, as in "expanding hostname failed"."""
    if "{{" not in text:
        return
    try:
        template = parse(text, NAMES)
        for field in _certain_fields(template):
            _check_names(text, field)
    except TemplateError as error:
        raise Rejected.invalid(f"{doing}: {error}") from None


def _certain_fields(template: Template) -> Iterator[Field]:
    """Yield the fields of the root that are looked at in any case: behind the first branch another dot may be meant."""
    for node in template.nodes:
        if isinstance(node, Action | Branch):
            yield from _fields(node.pipe)
        if isinstance(node, Branch):
            return


def _fields(operand: Operand) -> Iterator[Field]:
    if isinstance(operand, Field):
        yield operand
    elif isinstance(operand, Chain):
        yield from _fields(operand.operand)
    elif isinstance(operand, Pipe):
        for command in operand.commands:
            for each in command.operands:
                yield from _fields(each)


def _check_names(text: str, field: Field) -> None:
    kind = ROOT
    for name in field.names:
        if kind == LABELS:
            return  # any key will do: the labels are not known here
        if name not in FIELDS[kind]:
            wrong = Wrong(f"can't evaluate field {name} in type {kind}")
            raise TemplateError.evaluating(text, field.at, field.shown, wrong)
        kind = FIELDS[kind][name]
