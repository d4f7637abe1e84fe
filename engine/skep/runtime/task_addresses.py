"""Loopback addresses for tasks that have no network namespace: one for each, on which it may use every port.

- One pool serves all nodes of a process, since they share the machine; it is handed to each of their executors.
- It is no part of the log and survives nothing: neither do the tasks that have the addresses.
- Addresses are given in turn, not the lowest first: one that was just freed is the last to come again, so that
  whoever still holds it reaches nobody rather than a stranger.
"""

import ipaddress
from collections import deque

from skep.ports.executor import TaskFailed

#: The variable by which a task finds its address.
VARIABLE = "SKEP_TASK_ADDR"

#: Where addresses are taken from if nothing is said: far from 127.0.0.1, and from 127.0.0.53 and 127.0.1.1, which
#: resolvers and Debian's host names have. Programs that run tasks on one machine at the same time must take others.
DEFAULT_BLOCK = "127.100.0.0/16"

_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")


class TaskAddresses:
    """A pool of the addresses of `block`, a part of 127.0.0.0/8; its first and last are not given."""

    def __init__(self, block: str = DEFAULT_BLOCK) -> None:
        network = ipaddress.IPv4Network(block)
        if not network.subnet_of(_LOOPBACK) or ipaddress.IPv4Address("127.0.0.1") in network:
            raise ValueError(f"{block}: must be a part of {_LOOPBACK} without 127.0.0.1")
        self._first = int(network.network_address) + 1
        self._size = max(network.num_addresses - 2, 0)
        self._used = 0
        self._freed: deque[str] = deque()
        self._given: dict[str, str] = {}

    def give(self, owner: str) -> str:
        """Return the address of `owner`, a task's id: the same one until it is freed.

        Raises:
            TaskFailed: all are taken.
        """
        addr = self._given.get(owner)
        if addr is None:
            addr = self._given[owner] = self._next()
        return addr

    def free(self, owner: str) -> None:
        """Take the address of `owner` back, if it has one. Idempotent."""
        addr = self._given.pop(owner, None)
        if addr is not None:
            self._freed.append(addr)

    @property
    def taken(self) -> int:
        """How many are given."""
        return len(self._given)

    def _next(self) -> str:
        if self._used < self._size:
            self._used += 1
            return str(ipaddress.IPv4Address(self._first + self._used - 1))
        if not self._freed:
            raise TaskFailed(f"no loopback address is left for the task: all {self._size} are taken")
        return self._freed.popleft()
