"""Processes as /proc shows them: who they are, who descends from whom, and their end.

Standard library only, and little of it: the supervisor is made of this. A process is named by its pid *and* its start
time, since pids are used again. Zombies count as gone: they run nothing.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)

#: Numbers of rt_sigaction(2) and rt_sigprocmask(2), and the size of the kernel's set of signals.
_SIGNAL_CALLS = {"x86_64": (13, 14), "aarch64": (134, 135)}
_SIGSET_BYTES = _WORD_BYTES = 8

_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110  # as in `stat`

#: A pid with its start time, in clock ticks since boot.
Identity = tuple[int, int]


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def adopt_orphans() -> None:
    """Make this process the parent of whatever below it loses its own parent."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Undone by a change of user: call it after that too."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def gain_no_privileges() -> None:
    """Let no program that this process executes raise its privileges."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def default_internal_signals() -> None:
    """Let signals 32 and 33 have their default effect, and block none.

    They are the C library's own: its functions, and so Python's, refuse to change them. What is ignored or blocked is
    inherited through exec, so who started the agent would reach into its tasks. Elsewhere than on these machines they
    are left alone.
    """
    calls = _SIGNAL_CALLS.get(os.uname().machine)
    if calls is None or ctypes.sizeof(ctypes.c_void_p) != _WORD_BYTES:
        return
    action, mask = calls
    nothing = ctypes.create_string_buffer(4 * _WORD_BYTES)  # SIG_DFL, no flags, no restorer, an empty mask
    for number in (32, 33):
        _libc.syscall(ctypes.c_long(action), ctypes.c_long(number), nothing, None, ctypes.c_size_t(_SIGSET_BYTES))
    _libc.syscall(ctypes.c_long(mask), ctypes.c_long(signal.SIG_SETMASK), nothing, None, ctypes.c_size_t(_SIGSET_BYTES))


def stat(pid: int) -> tuple[str, int, int, int] | None:
    """Return state, parent, session and start time of `pid`; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # pathlib would double the supervisor's start
            words = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return words[0].decode(), int(words[1]), int(words[3]), int(words[19])


def identify(pid: int) -> Identity | None:
    """Return the identity of `pid`, zombie or not; None if there is none."""
    found = stat(pid)
    return (pid, found[3]) if found else None


def runs(who: Identity) -> bool:
    """Say whether that very process still runs."""
    found = stat(who[0])
    return found is not None and found[3] == who[1] and found[0] not in "ZX"


def pids() -> list[int]:
    """Return every pid of the machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # as in `stat`


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, parents first, as far as they were to be seen in passing."""
    below = _listed_children if _LISTS_CHILDREN else _scan_children()
    found = [root]
    for pid in found:
        found += below(pid)
    return found[1:]


def _listed_children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  # as in `stat`
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123  # as in `stat`
                children += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended meanwhile: what it had is its adopter's now, and seen there in the next pass
    return children


def _scan_children() -> Callable[[int], list[int]]:
    """Do the same on kernels without CONFIG_PROC_CHILDREN: a look at every process, once a pass."""
    table: dict[int, list[int]] = {}
    for pid in pids():
        if found := stat(pid):
            table.setdefault(found[1], []).append(pid)
    return lambda pid: table.get(pid, [])


def kill(targets: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each of `targets` that exists and may be signalled."""
    for pid in targets:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def reap() -> list[tuple[int, int]] | None:
    """Collect the children that ended, with their wait statuses; None if there are no children at all."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended.append((pid, status))
