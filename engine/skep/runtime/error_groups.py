"""The one error that a person is told, where several tasks failed together."""

from collections.abc import Iterator

from skep.core.rejected import Broken
from skep.ports.event_log import LogError


def only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error of a group, the engine's own before others; the group if it has several."""
    errors = list(_flat(group))
    for error in errors:
        if isinstance(error, LogError | Broken):
            return error
    return errors[0] if len(errors) == 1 else group


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error
