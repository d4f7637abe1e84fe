"""Images of a program: names, as Docker reads them, bound to async functions.

A name without tag has the tag `latest`. A digest is ignored, and so is `docker.io/library/`. No tag stands in for
another: an update to one that is not bound is refused, and can be rolled back.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from skep.ports.executor import TaskRejected
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.task_addresses import TaskAddresses

#: What an image stands for: runs until it returns, raises or is cancelled.
TaskFunction = Callable[[TaskContext], Awaitable[object]]

#: A health check: unhealthy is False, or an exception. Anything else is healthy.
HealthFunction = Callable[[TaskContext], Awaitable[object]]

F = TypeVar("F", bound=TaskFunction)

_DEFAULT_TAG = "latest"


class Bound(Struct, frozen=True):
    """What an image's name is bound to."""

    function: TaskFunction
    health: HealthFunction | None = None


class Images:
    """The images of a program, for one cluster or several. `addresses` gives each task a loopback address."""

    def __init__(self, *, addresses: TaskAddresses | None = None) -> None:
        self._bound: dict[str, Bound] = {}
        self.addresses = TaskAddresses() if addresses is None else addresses
        #: The names of the tasks that were abandoned and still run.
        self.abandoned: set[str] = set()

    def bind(self, name: str, *, health: HealthFunction | None = None) -> Callable[[F], F]:
        """Bind `name` to the async function below, for tasks that are prepared from now on.

        `health` is asked as the health check of a task's spec says, and with Docker's defaults where it says nothing.

        Raises:
            ValueError: the name is bound already.
            TypeError: one of them is no async function.
        """
        full = full_name(name)
        if full in self._bound:
            raise ValueError(f"image {full} is bound already; bind another tag, and update the service to it")
        if health is not None:
            _check_async(health)

        def decorate(function: F) -> F:
            _check_async(function)
            self._bound[full] = Bound(function, health)
            return function

        return decorate

    def find(self, name: str) -> Bound | None:
        """Return what `name` is bound to, if it is."""
        return self._bound.get(full_name(name))

    def names(self) -> list[str]:
        """Return all names, each with its tag, sorted."""
        return sorted(self._bound)

    @property
    def empty(self) -> bool:
        """Whether nothing is bound."""
        return not self._bound


def full_name(name: str) -> str:
    """Return an image's name with its tag, without digest and without Docker Hub's prefix."""
    plain = name.partition("@")[0].removeprefix("docker.io/").removeprefix("library/")
    return plain if ":" in plain.rpartition("/")[2] else f"{plain}:{_DEFAULT_TAG}"


def not_bound(name: str) -> TaskRejected:
    """Say that no function is bound to an image."""
    return TaskRejected(
        f"No such image: {full_name(name)}: tasks are coroutines here, and no function is bound to that name"
    )


def _check_async(function: object) -> None:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object's own `async def __call__` is looked at
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)):
        raise TypeError(f"{function!r} is no async function")
