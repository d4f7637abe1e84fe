"""What is said of a task that cannot run or did not: Docker's words where it has them (recorded, FACTS chapter 3)."""

import errno
import os
import signal
from collections.abc import Mapping

from skep.ports.executor import TaskFailed, TaskRejected

#: Exit codes of what never ran, as dockerd derives them: not found, found but not runnable, anything else.
NOT_FOUND, NOT_RUNNABLE, NOT_STARTED = 127, 126, 128

#: What a shell and Docker add to the number of the signal that ended a process.
SIGNALLED = 128
KILLED = SIGNALLED + signal.SIGKILL


def no_command(image: str) -> TaskRejected:
    """Say that the image is in no catalogue and the spec has no command."""
    return TaskRejected(
        f"No such image: {image}: tasks are local processes here, and no command is known by that name; "
        f"add it to the catalogue (skep up --catalog FILE) or give the service a command"
    )


def not_started(step: str, code: int, *, argv0: str, directory: str) -> TaskFailed:
    """Say which step between fork and exec failed."""
    what = os.strerror(code)
    what = what[:1].lower() + what[1:]
    if step == "exec":
        if code == errno.ENOENT and "/" not in argv0:
            what = "executable file not found in $PATH"
        elif code == errno.ENOENT:
            what = f"stat {argv0}: {what}"
        elif code == errno.ENOEXEC:
            what = "exec format error"
        message = f'exec: "{argv0}": {what}'
    elif step == "chdir":
        message = f'chdir to cwd ("{directory}") failed: {what}'
    elif step == "namespace":
        message = (
            f"mounts need a namespace of the task's own, and the agent can make none: {what} "
            "(run it as root, or let users make namespaces)"
        )
    else:
        message = f"{step}: {what}"
    exit_code = {errno.ENOENT: NOT_FOUND, errno.ENOTDIR: NOT_FOUND, errno.EACCES: NOT_RUNNABLE}.get(code, NOT_STARTED)
    return TaskFailed(f"starting container failed: unable to start container process: {message}", exit_code=exit_code)


def failed_to_start(why: str) -> TaskFailed:
    """Say why it was not even forked."""
    return TaskFailed(f"starting container failed: {why}", exit_code=NOT_STARTED)


def exit_code_of(wait_status: int) -> int:
    """Return the exit code as Docker reports it: 128 and the signal's number where a signal ended it."""
    code = os.waitstatus_to_exitcode(wait_status)
    return SIGNALLED - code if code < 0 else code


def ended(exit_code: int) -> TaskFailed | None:
    """Return how a main process that ended is told; None if it went well."""
    return TaskFailed(f"task: non-zero exit ({exit_code})", exit_code=exit_code) if exit_code else None


_SIGNALS: Mapping[str, int] = {item.name.removeprefix("SIG"): item.value for item in signal.Signals}


def stop_signal(said: str) -> int:
    """Return the number of a signal by name, with or without SIG, or by number; SIGTERM where nothing is said.

    Raises:
        TaskRejected: there is no such signal.
    """
    if not said:
        return signal.SIGTERM
    name = said.upper().removeprefix("SIG")
    if name in _SIGNALS:
        return _SIGNALS[name]
    if said.isdecimal() and int(said) in signal.valid_signals():
        return int(said)
    if name.startswith(("RTMIN+", "RTMAX-")) and name[6:].isdecimal():
        number = signal.SIGRTMIN + int(name[6:]) if name[3:5] == "IN" else signal.SIGRTMAX - int(name[6:])
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    raise TaskRejected(f"Invalid signal: {said}")
