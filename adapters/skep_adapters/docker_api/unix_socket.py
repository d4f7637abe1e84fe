"""A unix socket of one's own: never a live server's, and no dead one's leftover in the way."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BACKLOG = 128


class SocketInUse(Exception):
    """Something else is where the socket should be."""


@contextmanager
def claimed(path: Path, *, mode: int) -> Iterator[socket.socket]:
    """Yield a listening socket bound to `path`; the path is removed afterwards if it is still ours.

    Raises:
        SocketInUse: a server answers at `path`, or what lies there is no socket.
    """
    _clear(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # nobody may connect before the mode is right
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            _remove(path, ours)


def _clear(path: Path) -> None:
    """Remove the socket of a server that is gone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketInUse(f"{path} exists and is no socket: remove it, or choose another path")
    if _answers(path):
        raise SocketInUse(f"a server is listening on {path} already: stop it, or choose another path")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Whether somebody listens; the kernel knows at once, also of a server that is too busy to accept."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True
    return True


def _remove(path: Path, inode: int) -> None:
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return
