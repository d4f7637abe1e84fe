"""Write the tables of docs/vocabulary.md anew from the code: `python docs/generate.py`, or `make tables`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. A test proves that what stands there is current.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from skep.core.commands import COMMANDS, Command
from skep.core.decide.task import REPORTABLE
from skep.core.events import EVENTS, Event
from skep.core.indexes import Topic
from skep.core.plan import PLANS, WAKES
from skep.model.states import DESIRED_STATES, MESSAGES, Availability, NodeState, Role, TaskState, UpdateState

PAGE = Path(__file__).parent / "vocabulary.md"

PLACE = re.compile(r"(?P<start><!-- table: (?P<name>[a-z ]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)

Row = tuple[str, ...]


def regenerated(page: str) -> str:
    """Return `page` with every table as the code is now.

    Raises:
        KeyError: the page asks for a table that does not exist.
    """
    return PLACE.sub(lambda place: f"{place['start']}{TABLES[place['name']]()}{place['end']}", page)


def _table(heads: Row, rows: Iterable[Row]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _first_sentence(of: object) -> str:
    return " ".join((of.__doc__ or "").split("\n\n")[0].split())


def _yes(value: object) -> str:
    return "yes" if value else ""


def _tagged(kinds: dict[str, type[Event]] | dict[str, type[Command]]) -> Iterable[Row]:
    for name, kind in kinds.items():
        fields = ", ".join(f"`{field}`" for field in kind.__struct_fields__)
        yield f"`{name}`", _first_sentence(kind), fields


def _task_states() -> str:
    rows = (
        (
            state.name,
            str(state.value),
            _yes(state in DESIRED_STATES),
            _yes(state in REPORTABLE),
            _yes(state.terminal),
            MESSAGES.get(state, ""),
        )
        for state in TaskState
    )
    return _table(("state", "number", "may be wanted", "an agent may report it", "final", "default message"), rows)


def _words() -> str:
    kinds = (NodeState, Availability, Role, UpdateState)
    return _table(("of", "words"), ((_first_sentence(kind), ", ".join(f"`{word}`" for word in kind)) for kind in kinds))


def _plans() -> str:
    def woken_by(name: str) -> str:
        return ", ".join(topic.name.lower() for topic in Topic if name in WAKES[topic])

    rows = ((f"`{name}`", _first_sentence(plan), woken_by(name)) for name, plan in PLANS.items())
    return _table(("plan", "what it returns", "woken by"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "task states": _task_states,
    "other states": _words,
    "events": lambda: _table(("stored name", "the fact", "fields"), _tagged(EVENTS)),
    "commands": lambda: _table(("stored name", "the wish", "fields"), _tagged(COMMANDS)),
    "plans": _plans,
}

if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text()))
