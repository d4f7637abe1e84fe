"""What went wrong around us, in one sentence: what it is, and what to do.

Only environment errors are told so; `told` returns None for everything else, which is a bug and keeps its traceback.
"""

from collections.abc import Iterator

from skep.core.rejected import Broken
from skep.ports.event_log import LogDamaged, LogError, LogLocked
from skep.ports.keyring import KeyringError
from skep.ports.stack_files import StackFileError
from skep.runtime.errors import EngineError

from skep_adapters.cli.client import DaemonError
from skep_adapters.cli.option_error import OptionError
from skep_adapters.docker_api import SocketInUse
from skep_adapters.process.catalog import CatalogError


def told(error: BaseException) -> str | None:
    """Return the sentence for `error`, or None if it is no environment error."""
    causes = list(dict.fromkeys(_causes(error)))
    sentences = [_sentence(cause) for cause in causes]
    known = [sentence for sentence in sentences if sentence is not None]
    if not known or len(known) < len(sentences):
        return None
    return "; ".join(dict.fromkeys(known))


def is_bug(error: BaseException) -> bool:
    """Say whether an invariant broke somewhere behind `error`: then its traceback is wanted too."""
    return any(isinstance(each, Broken) for each in _leaves(error)) or any(
        is_bug(each.__cause__) for each in _leaves(error) if each.__cause__ is not None
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what is behind task groups, and behind an engine's failure where the log says it better."""
    for leaf in _leaves(error):
        behind: list[BaseException] = []
        if isinstance(leaf, EngineError) and leaf.__cause__ is not None:
            behind = [each for each in _leaves(leaf.__cause__) if isinstance(each, LogError)]
        yield from behind or [leaf]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _sentence(error: BaseException) -> str | None:
    match error:
        case LogDamaged(position=position):
            return (
                f"{error}; the log is damaged after position {position} and was left as it is: copy the data "
                "directory, then restore the directory of this swarm from a backup (log and anchor.json together), "
                "or look at it with skep verify"
            )
        case LogLocked():
            return f"{error}: stop that process, or choose another directory with --data"
        case LogError() | KeyringError() | EngineError() | SocketInUse() | CatalogError():
            return str(error)
        case DaemonError() | OptionError() | StackFileError():
            return str(error)
        case OSError(strerror=str(words)) if error.filename is not None:
            return f"{error.filename}: {words}"
        case OSError():
            return str(error)
    return None
