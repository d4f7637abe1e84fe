"""Whether a socket may be made where it was asked for: seen before a cluster starts its tasks for nothing.

The server that makes the socket looks again.
"""

import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from skep_adapters.cli.option_error import OptionError


def check_vacant(paths: Sequence[Path]) -> None:
    """Refuse paths at which a server answers, something else lies, or no directory is.

    Raises:
        OptionError: the first such path.
    """
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise OptionError(f"--host unix://{path}: there is no directory {path.parent}") from None
            continue
        except OSError as error:
            raise OptionError(f"--host unix://{path}: {error.strerror}") from error
        if not stat.S_ISSOCK(mode):
            raise OptionError(f"--host unix://{path}: something that is no socket lies there; remove it")
        if _answers(path):
            raise OptionError(f"--host unix://{path}: another server listens there; stop it, or choose another path")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full: it is there
        except OSError:
            return False
    return True
