"""The nodes that live in this process, as `Cluster.open` is told of them."""

from collections.abc import Sequence
from typing import Protocol

from skep.ports.clock import Clock
from skep.ports.executor import Executor
from skep.ports.lines import LineStore
from skep.runtime.coroutines.executor import CoroutineExecutor
from skep.runtime.coroutines.images import Images
from skep.runtime.engine import ExecutorFactory, LocalNodes
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import SimulatedExecutor


class Reach(Protocol):
    """How tasks are reached that have no network of their own: whatever runs them, coroutines too.

    It tells each task its address, as `skep.runtime.task_addresses.VARIABLE`.
    """

    def over(self, executors: ExecutorFactory) -> ExecutorFactory:
        """Return what makes executors as `executors` does, whose tasks are reached."""
        ...


def local_nodes(
    nodes: int | Sequence[str],
    executor: ExecutorFactory | None,
    lines: LineStore | None,
    addr: str,
    *,
    images: Images,
    clock: Clock,
    mesh: Reach | None = None,
) -> LocalNodes:
    """Return them: so many, or of these names. What `images` has goes before `executor`, which is simulated if None.

    Through `mesh` the tasks of all are reached, if there is one; then they have their addresses from it.
    """

    def make(name: str, number: int) -> Executor | None:
        if executor is None:
            return CoroutineExecutor(images, SimulatedExecutor(clock=clock), clock=clock, alone=True)
        other = executor(name, number)
        return None if other is None else CoroutineExecutor(images, other, clock=clock)

    names = tuple(f"node{number}" for number in range(1, nodes + 1)) if isinstance(nodes, int) else tuple(nodes)
    return LocalNodes(names, make if mesh is None else mesh.over(make), lines or MemoryLineStore(), addr)
