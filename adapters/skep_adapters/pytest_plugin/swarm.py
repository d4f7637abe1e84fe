"""What a test holds: where its swarm is, what it may ask it, and what it can do to it. Any thread may call it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from skep.runtime.cluster import Cluster
from skep.runtime.coroutines.images import full_name
from skep.runtime.errors import TimedOut

from skep_adapters.pytest_plugin import faults
from skep_adapters.pytest_plugin.life import Life
from skep_adapters.pytest_plugin.options import convert_behaviour

if TYPE_CHECKING:
    from skep_adapters.pytest_plugin.thread import EngineThread

T = TypeVar("T")

#: How long a swarm may take to come to rest, by its own time: longer than updates with the usual delays take.
REST_S = 300.0


class Swarm:
    """The swarm of a test. Tasks are named by id, or as `web.1`; nodes by id or host name; or by an SDK's object."""

    def __init__(self, thread: "EngineThread", life: Life) -> None:
        self._thread = thread
        self._life = life

    @property
    def host(self) -> str:
        """Where it is, for `DOCKER_HOST`, which says so already."""
        return self._thread.host

    # --- asking

    def ask(self, question: Callable[[Cluster], Awaitable[T]]) -> T:
        """Return what the cluster answers: `ask(lambda cluster: cluster.services.list())`."""
        return self._thread.submit(self._ask(question)).result()

    async def ask_async(self, question: Callable[[Cluster], Awaitable[T]]) -> T:
        """Return the same, in a test that has a loop of its own."""
        return await asyncio.wrap_future(self._thread.submit(self._ask(question)))

    # --- time

    def settle(self, *, timeout_s: float = REST_S) -> None:
        """Return when every service runs as it is wanted, no update goes on, and no node comes or goes.

        Where time is virtual, nothing of it passes for the test.

        Raises:
            TimedOut: it did not come to that in so many seconds of the swarm's time; the message says what is missing.
        """
        if missing := self._do(faults.settle(self._life, timeout_s)):
            raise TimedOut(f"not at rest within {timeout_s:g} s: {missing}")

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once: everything that is due in it happens, in order."""
        self._do(faults.pass_by(self._life, seconds))

    # --- what tasks do

    def behave(self, image: str, **behaviour: Any) -> None:
        """Say what tasks of an image do that begin from now on: the fields of `skep.runtime.simulated.Behaviour`.

        Raises:
            OptionError: there is no such behaviour.
        """
        self._life.behaviours[full_name(image)] = convert_behaviour(behaviour)

    def slow_pulls(self, seconds: float) -> None:
        """Have every task need so much more time before it starts; 0 undoes it."""
        self._life.mischief.pull_s = seconds

    # --- faults

    def fail(self, task: object, *, exit_code: int = 1, message: str = "") -> None:
        """Have a running task fail, as if by itself; the swarm knows of it when this returns.

        Raises:
            LookupError: no such task runs.
        """
        self._do(faults.fail_task(self._life, task, message, exit_code))

    def cut(self, node: object) -> None:
        """Cut a node off: its tasks go on there, and it is down after a while.

        Raises:
            LookupError: there is no such node.
        """
        self._call(lambda: faults.set_cut(self._life, node, cut=True))

    def mend(self, node: object) -> None:
        """Let a node through again.

        Raises:
            LookupError: there is no such node.
        """
        self._call(lambda: faults.set_cut(self._life, node, cut=False))

    def full_disk(self) -> None:
        """Have no room for the log: what is asked of the swarm is answered with status 503, and not done."""

        def fill() -> None:
            self._life.disk.full = True

        self._call(fill)

    def free_disk(self) -> None:
        """Have room again; the swarm takes commands when this returns."""
        self._do(faults.make_room(self._life))

    # --- the way to the engine's loop

    async def _ask(self, question: Callable[[Cluster], Awaitable[T]]) -> T:
        self._life.asked()
        with self._life.waiting():
            return await question(self._life.cluster)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(work).result()

    def _call(self, work: Callable[[], None]) -> None:
        async def call() -> None:
            self._life.asked()
            work()

        self._do(call())
