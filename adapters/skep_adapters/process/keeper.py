"""The keeper: the process above one task, below the supervisor. It lives exactly as long as anything of the task does.

Standard library only (see `kin`). It adopts every orphan of its task (subreaper), so "has no children" proves that
nothing of the task runs: not what forked twice, not what left the session. Like a container, a task is over when its
main process is; the rest is killed then. All is killed too when the agent says so, when the agent's end of the control
socket closes, and when the supervisor ends.

To the agent, one packet each: `["born", keeper, main]` (identities), `["running"]` or `["failed", step, errno]`, then
`["ended", wait status, pids that would not die, why]`. From the agent: `["go"]`, which lets the child become the task,
`["signal", number]` to the main process, `["kill"]`.
"""

import json
import os
import select
import signal
import socket
import time
from typing import NoReturn

from skep_adapters.process import kin
from skep_adapters.process.launch import become, read_launch

#: How long to go on killing what does not die: in uninterruptible sleep, or under a user that is not ours to signal.
KILL_S = 5.0
#: Between two passes of killing: what is hit is usually gone in less.
PASS_S = 0.002

PACKET_BYTES_MAX = 4096


class Keeper:
    """One task, from its fork to the end of its last process."""

    def __init__(self, control: socket.socket, supervisor: int, fds: tuple[int, int, int]) -> None:
        self._control = control
        self._supervisor = supervisor
        self._launch, self._stdout, self._stderr = fds
        self._main = 0
        self._status: int | None = None
        self._gate = self._errors = -1
        self._released = False
        self._why = ""

    def keep(self) -> NoReturn:
        """Run the task to its end; then end this process."""
        kin.adopt_orphans()
        wake = wake_on_children()
        self._fork()
        poll = select.poll()
        for fd in (self._control.fileno(), self._supervisor, wake, self._errors):
            poll.register(fd, select.POLLIN)
        while not self._why and self._status is None:
            for fd, _ in poll.poll():
                if fd == self._errors:
                    poll.unregister(fd)
                    self._tell_outcome()
                elif fd == wake:
                    os.read(wake, 512)
                    self._reap()
                elif fd == self._supervisor:
                    self._why = self._why or "supervisor"
                else:
                    self._obey()
        left = self._kill_all()
        if self._errors >= 0 and self._released and self._status is not None:
            self._tell_outcome()
        self._tell("ended", signal.SIGKILL if self._status is None else self._status, left, self._why)
        os._exit(1 if left else 0)

    def _fork(self) -> None:
        launch = read_launch(self._launch)
        gate_read, self._gate = os.pipe2(os.O_CLOEXEC)
        self._errors, errors_write = os.pipe2(os.O_CLOEXEC)
        self._main = os.fork()
        if self._main == 0:
            self._control.close()
            os.close(self._gate)
            become(launch, gate_read, errors_write, self._stdout, self._stderr)
        for fd in (gate_read, errors_write, self._stdout, self._stderr):
            os.close(fd)
        self._tell("born", kin.identify(os.getpid()), kin.identify(self._main))

    def _tell(self, *words: object) -> None:
        try:
            self._control.send(json.dumps(words).encode())
        except (BrokenPipeError, ConnectionResetError):
            self._why = self._why or "agent"

    def _tell_outcome(self) -> None:
        """Tell how the exec went: an error pipe that ends in silence was closed by it."""
        said = os.read(self._errors, PACKET_BYTES_MAX)
        os.close(self._errors)
        self._errors = -1
        if said:
            self._tell("failed", *json.loads(said))
        else:
            self._tell("running")

    def _reap(self) -> bool:
        """Collect the dead; return whether any child is left."""
        ended = kin.reap()
        for pid, status in ended or ():
            if pid == self._main:
                self._status = status
        return ended is not None

    def _obey(self) -> None:
        try:
            packet = self._control.recv(PACKET_BYTES_MAX)
        except ConnectionResetError:
            packet = b""
        if not packet:
            self._why = self._why or "agent"
            return
        word, *rest = json.loads(packet)
        if word == "go":
            self._released = True
            os.write(self._gate, b"1")
            os.close(self._gate)
        elif word == "signal" and self._status is None:
            kin.kill([self._main], rest[0])
        elif word == "kill":
            self._why = self._why or "killed"

    def _kill_all(self) -> list[int]:
        """Kill until there is no child left; return whom that did not end."""
        deadline = time.monotonic() + KILL_S
        while True:
            targets = kin.descendants(os.getpid())
            kin.kill(targets)
            if not self._reap():
                return []
            if time.monotonic() > deadline:
                return targets
            time.sleep(PASS_S)


def wake_on_children() -> int:
    """Return a file that becomes readable when a child ends."""
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    return wake_read
