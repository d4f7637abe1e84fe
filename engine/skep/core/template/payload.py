"""Secrets and configs that are templates: their data, filled in for one task.

Beside what a container's texts are told, they may call `secret` and `config` with the target of one that the task has,
and `env` with the name of a variable. All three give what stands in the spec, unexpanded, as on Swarm.
"""

from collections.abc import Mapping

from msgspec import Struct

from skep.core.template.context import PAYLOAD_ROOT, Subject, context
from skep.core.template.evaluator import evaluate
from skep.core.template.functions import NAMES, Join, Signature
from skep.core.template.mistake import TemplateError, Wrong
from skep.core.template.parser import parse
from skep.core.template.values import Value

#: The only language that there is; the Engine API takes any name.
DRIVER = "golang"

_NAMES = NAMES | {"config", "env", "secret"}


class Surroundings(Struct, frozen=True):
    """What the task has: data of secrets and configs by target, and its environment as its spec has it.

    The repr hides all of it.
    """

    secrets: Mapping[str, bytes]
    configs: Mapping[str, bytes]
    env: tuple[str, ...]

    def __repr__(self) -> str:
        """Hide the data."""
        return "Surroundings()"


def expand_payload(data: bytes, subject: Subject, surroundings: Surroundings, *, size_max: int, secret: bool) -> bytes:
    """Return `data` filled in; `secret` says that nothing of it may be told.

    Raises:
        TemplateError: it cannot be. Nothing secret is in it: of a secret, and of a config that asked for one, the place
            is all that is told.
    """
    asked: list[str] = []
    functions = {
        "secret": _getter("secret", surroundings.secrets, asked),
        "config": _getter("config", surroundings.configs, []),
        "env": Signature(lambda values, _: _env(surroundings.env, str(values[0])), 1, texts=1),
    }
    # Swarm's engines do not tell secrets and configs what node they are on, its id aside (recorded, scenario 14)
    told = context(_without_node(subject), root=PAYLOAD_ROOT)
    mistake: TemplateError | None = None
    text = ""
    try:
        template = parse(data.decode("utf-8", "surrogateescape"), _NAMES)
        text = evaluate(template, told, size_max=size_max, functions=functions)
    except TemplateError as error:
        if not secret and not asked:
            raise
        mistake = TemplateError(f"its template is wrong at {error.place}", error.place)
    if mistake is not None:
        raise mistake  # here, where it has no context that would quote
    return text.encode("utf-8", "surrogateescape")


def _getter(kind: str, known: Mapping[str, bytes], asked: list[str]) -> Signature:
    def get(values: list[Value], _: Join) -> Value:
        target = str(values[0])
        asked.append(target)
        if target not in known:
            raise Wrong(f"{kind} target {target} not found")
        return known[target].decode("utf-8", "surrogateescape")

    return Signature(get, 1, texts=1)


def _env(env: tuple[str, ...], name: str) -> str:
    entries = (entry.partition("=") for entry in env)
    return next((value for said, equals, value in entries if equals and said == name), "")


def _without_node(subject: Subject) -> Subject:
    return Subject(
        service_id=subject.service_id,
        service_name=subject.service_name,
        service_labels=subject.service_labels,
        node_id=subject.node_id,
        task_id=subject.task_id,
        task_name=subject.task_name,
        slot=subject.slot,
    )
