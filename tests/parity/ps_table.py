"""Tables of tasks as the client prints them, without what is drawn: which slot got which node, and who comes first.

A task stands with those that came before it in its slot (`\\_`). Which slots there are stays.
"""

import re
from collections.abc import Callable, Iterable

HEAD = "ID  NAME  IMAGE  NODE  DESIRED STATE"

SLOT = "<slot>"

_BEFORE = "  \\_ "
_NAME = re.compile(r"^(\S+  (?:\\_ )?)(\S+)\.(\d+)(?=  )")


def ordered(lines: list[str], key: Callable[[str], str]) -> list[str]:
    """Return the lines of a table: its tasks by `key`, each followed by those before it in its slot."""
    blocks: list[list[str]] = []
    slots: dict[str, set[int]] = {}
    for line in filter(None, lines[1:]):
        if found := _NAME.match(line):
            slots.setdefault(found[2], set()).add(int(found[3]))
        bare = _NAME.sub(rf"\1\2.{SLOT}", line)
        if _BEFORE in bare and blocks:
            blocks[-1].append(bare)
        else:
            blocks.append([bare])
    blocks.sort(key=lambda block: key("\n".join(block)))
    said = sorted(key(sentence(name, numbers)) for name, numbers in slots.items())
    return [lines[0], *(line for block in blocks for line in block), *said]


def sentence(service: str, slots: Iterable[int]) -> str:
    """Return which slots of a service are shown: of some of its tasks, nobody can tell."""
    numbers = sorted(set(slots))
    whole = numbers == list(range(1, len(numbers) + 1))
    return f"{service} has slots 1 to {len(numbers)}" if whole else f"some slots of {service}"
