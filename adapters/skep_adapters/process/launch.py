"""From a forked child to the task's own program: what happens between fork and exec, and what an agent asks for.

Standard library only (see `kin`). A launch is a JSON object with the keys of `Launch`, handed over as a memory file,
since arguments and environment may be large. A step that fails is told through the error pipe as `[step, errno]`.
"""

import fcntl
import json
import os
import resource
import signal
from collections.abc import Iterator
from typing import NoReturn, TypedDict

from skep_adapters.process import kin, namespace


class Launch(TypedDict):
    """What to run, as whom and where. None leaves it as the agent's."""

    argv: list[str]
    env: dict[str, str]
    dir: str
    uid: int | None
    gid: int | None
    groups: list[int] | None
    #: Triples of RLIMIT_ number, soft and hard limit.
    rlimits: list[list[int]]
    no_new_privileges: bool
    #: Files by which control groups are entered.
    cgroups: list[str]
    #: What is mounted in a namespace of its own; or a process whose namespace it is in, 0 for none.
    mounts: list[namespace.MountStep]
    join: int


#: What is told of a target that cannot be mounted on: a packet to the agent is bounded.
TARGET_CHARS_MAX = 200

#: The files that all children of a session begin with.
UMASK = 0o022


def read_launch(fd: int) -> Launch:
    """Return the launch that the memory file `fd` holds, and close it."""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        launch: Launch = json.load(file)
    return launch


def become(launch: Launch, gate: int, errors: int, stdout: int, stderr: int) -> NoReturn:
    """Turn this forked child into the task, once a byte comes through `gate`; at end of file there, end."""
    step = "setsid"
    try:
        os.setsid()
        kin.die_with_parent()
        if os.read(gate, 1) != b"1":
            os._exit(127)
        step = "signals"
        _default_signals()
        _standard_files(stdout, stderr)
        for step in _enter_surroundings(launch):  # noqa: B007  # it is told where one of them fails
            pass
        step = "rlimit"
        for number, soft, hard in launch["rlimits"]:
            resource.setrlimit(number, (soft, hard))
        step = "groups"
        if launch["groups"] is not None:
            os.setgroups(launch["groups"])
        step = "chdir"
        arrived = _enter(launch["dir"], last=False)
        step = "user"
        if launch["gid"] is not None:
            os.setgid(launch["gid"])
        if launch["uid"] is not None:
            os.setuid(launch["uid"])
        step = "chdir"
        if not arrived:
            _enter(launch["dir"], last=True)
        os.umask(UMASK)
        kin.die_with_parent()
        if launch["no_new_privileges"]:
            kin.gain_no_privileges()
        step = "exec"
        os.execvpe(launch["argv"][0], launch["argv"], launch["env"])  # noqa: S606  # running it is the point
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else 22
        os.write(errors, json.dumps([step, code]).encode())
    finally:
        os._exit(127)


def _enter_surroundings(launch: Launch) -> Iterator[str]:
    """Enter the task's control groups and namespace; yield the name of each step before it is done."""
    yield "cgroup"
    for path in launch["cgroups"]:
        with open(path, "w") as file:  # noqa: PTH123  # pathlib would double the supervisor's start
            file.write("0")
    yield "namespace"
    if launch["join"]:
        namespace.join(launch["join"])
    elif launch["mounts"]:
        namespace.unshare()
        for mount, source in zip(launch["mounts"], namespace.open_sources(launch["mounts"]), strict=True):
            yield f"mount {mount['target'][:TARGET_CHARS_MAX]}"
            namespace.mount(mount, source)


def _enter(path: str, *, last: bool) -> bool:
    """Change directory; where the agent may not, the task's user may still (runc tries both as well)."""
    try:
        os.chdir(path)
    except PermissionError:
        if last:
            raise
        return False
    return True


def _default_signals() -> None:
    """Undo what Python, the supervisor and whoever started us set: what is ignored would stay ignored in the task."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    kin.default_internal_signals()


def _standard_files(stdout: int, stderr: int) -> None:
    """Connect the three; everything else closes itself on exec."""
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for source, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target, inheritable=True)
        fcntl.fcntl(target, fcntl.F_SETFD, 0)
