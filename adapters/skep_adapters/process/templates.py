"""Templates: the Go placeholders that a spec's environment and hostname may hold, expanded for one task.

A fixed list, not a language: what is not on it is refused rather than handed to the task unexpanded.
"""

import re
from collections.abc import Callable, Mapping

from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedTask

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LABEL = re.compile(r'index\s+\.Service\.Labels\s+"((?:[^"\\]|\\.)*)"')


def expand(text: str, task: AssignedTask, *, of: str) -> str:
    """Return `text`, which is the `of` of the spec of `task`, with its placeholders filled.

    Raises:
        TaskRejected: it holds one that is not known here.
    """
    if "{{" not in text:
        return text

    def fill(hole: re.Match[str]) -> str:
        said = hole[1].strip().removeprefix("- ").removesuffix(" -").strip()
        if label := _LABEL.fullmatch(said):
            return task.service_labels.get(label[1].replace('\\"', '"').replace("\\\\", "\\"), "")
        if said in _FIELDS:
            return _FIELDS[said](task)
        known = ", ".join(("{{" + name + "}}") for name in _FIELDS)
        raise TaskRejected(
            f"expanding {of} failed: {hole[0]} is not known to local processes; known are {known} "
            'and {{index .Service.Labels "KEY"}}'
        )

    return _HOLE.sub(fill, text)


def slot_of(task: AssignedTask) -> str:
    """Return the slot, or the node where there are no slots, as Swarm does for global services."""
    return str(task.slot) if task.slot else task.node_id


_FIELDS: Mapping[str, Callable[[AssignedTask], str]] = {
    ".Service.ID": lambda task: task.service_id,
    ".Service.Name": lambda task: task.service_name,
    ".Node.ID": lambda task: task.node_id,
    ".Node.Hostname": lambda task: task.node_hostname,
    ".Task.ID": lambda task: task.id,
    ".Task.Name": lambda task: task.name,
    ".Task.Slot": slot_of,
}
