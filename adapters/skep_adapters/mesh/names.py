"""Names by network: which running tasks a service, an alias or a host name stands for there, as on an overlay.

A service's name stands for its tasks' addresses, whatever its endpoint's mode: a virtual address would have to answer
on every port that the tasks may listen on, and here no packet is rewritten.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from skep.ports.link import AssignedTask


class _Named(Struct):
    """Tasks of one name, and how often they were asked for."""

    tasks: dict[str, str]
    asked: int = 0


class Names:
    """What every network's names stand for."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Named] = {}

    def add(self, task: AssignedTask, addr: str) -> None:
        """Let the task be found under its names."""
        for key in _names(task):
            self._known.setdefault(key, _Named({})).tasks[task.id] = addr

    def remove(self, task: AssignedTask) -> None:
        """Let it be found no more. Idempotent."""
        for key in _names(task):
            named = self._known.get(key)
            if named is not None:
                named.tasks.pop(task.id, None)
                if not named.tasks:
                    del self._known[key]

    def find(self, name: str, networks: Iterable[str]) -> list[str]:
        """Return the addresses of `name` on any of the networks, another one first each time; none if it is unknown."""
        found: dict[str, None] = {}
        for network in networks:
            named = self._known.get((network, name.lower()))
            if named is not None:
                addrs = list(named.tasks.values())
                turn = named.asked % len(addrs)
                named.asked += 1
                found |= dict.fromkeys(addrs[turn:] + addrs[:turn])
        return list(found)


def networks_of(task: AssignedTask) -> tuple[str, ...]:
    """Return the ids of the networks on which the task has a name: not those of the machine, nor the one for ports."""
    return tuple(
        sorted(one.network.id for one in task.networks if not one.network.predefined and not one.network.spec.ingress)
    )


def _names(task: AssignedTask) -> Iterator[tuple[str, str]]:
    container = task.template.spec.container_spec
    own = (task.name, container.hostname if container is not None else "")
    service = (task.service_name, f"tasks.{task.service_name}")
    named = set(networks_of(task))
    for one in task.networks:
        if one.network.id in named:
            for name in dict.fromkeys((*service, *one.aliases, *own)):
                if name:
                    yield one.network.id, name.lower()
